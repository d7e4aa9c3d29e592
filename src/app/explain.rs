//! The verb `explain`: what a code or an exit status means, from the tables the documents are made of.

use crate::cli::Topic;
use crate::cli::exit::ExitStatus;
use crate::error::ErrorCode;
use std::fmt::Write;

/// The explanation of one topic, or the list of all.
#[must_use]
pub fn text(topic: Option<Topic>) -> String {
    match topic {
        None => list(),
        Some(Topic::Code(code)) => one(code),
        Some(Topic::Exit(status)) => exit(status),
        Some(Topic::Signal(signal)) => format!(
            "exit status {}: signal {signal} ended the program from outside.\n  usual causes  {}\n  what to do    Run the \
             same command again; what was finished is kept.\n",
            128 + u16::from(signal),
            match signal {
                9 => "Too little memory (the system or the scheduler ended it); see --mem.",
                15 => "A time limit of the scheduler, or a shutdown.",
                _ => "The system or a user ended it.",
            }
        ),
    }
}

fn one(code: ErrorCode) -> String {
    let status = ExitStatus::from(code);
    format!(
        "{code}: {}\n  usual causes  {}\n  what to do    {}\n  class         {} (error.type in traces, error_type in metrics)\n  \
         exit status   {} when it ends the run; a run that goes on past a failed scan ends with {}\n",
        code.meaning(),
        code.causes(),
        code.advice(),
        code.class(),
        status.number(),
        ExitStatus::ScanFailed.number(),
    )
}

fn exit(status: ExitStatus) -> String {
    let mut text = format!("exit status {} ({}): {}\n", status.number(), status.as_str(), status.meaning());
    for code in ErrorCode::ALL.iter().filter(|code| ExitStatus::from(**code) == status) {
        let _ = writeln!(text, "  {:<24} {}", code.as_str(), code.meaning()); // a String takes everything
    }
    text
}

fn list() -> String {
    let mut text = String::from("error codes (neuro-preprocess explain CODE says more)\n");
    for code in ErrorCode::ALL {
        let _ = writeln!(text, "  {:<24} {}", code.as_str(), code.meaning());
    }
    text.push_str("exit statuses\n");
    for status in ExitStatus::ALL {
        let _ = writeln!(text, "  {:<24} {}", format!("{} {}", status.number(), status.as_str()), status.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_in_the_tables_is_explained() {
        let all = text(None);
        for code in ErrorCode::ALL {
            let said = text(Some(Topic::Code(*code)));
            for part in [code.meaning(), code.causes(), code.advice(), code.class().as_str()] {
                assert!(said.contains(part), "{code}: {said}");
            }
            let of_status = text(Some(Topic::Exit((*code).into())));
            assert!(of_status.contains(code.as_str()) && all.contains(code.as_str()), "{code}");
        }
        assert!(text(Some(Topic::Signal(9))).starts_with("exit status 137: signal 9"));
    }
}
