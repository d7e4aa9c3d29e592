//! Every way a scan or a run can be refused, as one table: the stable code, its class, what it means,
//! what to do, what it usually comes from.
//!
//! Modules have their own typed errors (`thiserror`); each answers [`Coded::code`], so that logs, telemetry, the exit
//! code, the report and `docs/errors.md` all say the same thing about the same failure.

mod kernels;

use std::fmt;

/// The low-cardinality class of a failure: `error.type` of spans and the `error_type` label of `neuro_errors_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// The input is not a scan we can trust.
    Validation,
    /// A method could not do its work on a valid input.
    Processing,
    /// Reading or writing failed.
    Io,
    /// There was not enough memory.
    Memory,
    /// The dataset or the request is wrong, not a scan.
    Request,
    /// The run was asked to stop.
    Cancelled,
    /// A defect of this program.
    Internal,
    /// Asked for with `--fail-rate`.
    Injected,
}

impl ErrorClass {
    /// Every class, for zero-initialised counters and the documentation.
    pub const ALL: [Self; 8] = [
        Self::Validation,
        Self::Processing,
        Self::Io,
        Self::Memory,
        Self::Request,
        Self::Cancelled,
        Self::Internal,
        Self::Injected,
    ];

    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Processing => "processing",
            Self::Io => "io",
            Self::Memory => "memory",
            Self::Request => "request",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
            Self::Injected => "injected",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that knows its row in the table of [`ErrorCode`]s.
pub trait Coded: std::error::Error {
    /// The stable code of this failure.
    fn code(&self) -> ErrorCode;
}

macro_rules! error_codes {
    ($($name:ident $class:ident $text:literal, $meaning:literal, $advice:literal, $causes:literal;)*) => {
        /// The stable code of a failure. A code is never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode { $(#[doc = $meaning] $name,)* }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as it is written in logs, reports and the documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)* } }

            /// The code that is written so.
            #[must_use]
            pub fn named(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|code| code.as_str() == text) }

            /// Its low-cardinality class.
            #[must_use]
            pub const fn class(self) -> ErrorClass { match self { $(Self::$name => ErrorClass::$class,)* } }

            /// What happened, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Self::$name => $meaning,)* } }

            /// What to do next, in one sentence.
            #[must_use]
            pub const fn advice(self) -> &'static str { match self { $(Self::$name => $advice,)* } }

            /// What it usually comes from, in one sentence.
            #[must_use]
            pub const fn causes(self) -> &'static str { match self { $(Self::$name => $causes,)* } }
        }
    };
}

error_codes! {
    // Request: the command line, the dataset, the configuration.
    Usage Request "NP-USAGE", "The command line cannot be understood.", "Run neuro-preprocess --help, or --help after the verb, and correct the argument named.", "A misspelt option, a missing value, or an option of another verb.";
    InputMissing Request "NP-INPUT-MISSING", "The input file or folder does not exist.", "Check the path; inside a container, check that the folder is bound.", "A typing error in the path, a disk that is not mounted, or a container that was started without binding the folder.";
    NotBids Request "NP-NOT-BIDS", "The folder is not a BIDS dataset.", "Add dataset_description.json (Name, BIDSVersion), or use the verb batch for a folder of loose scans.", "The folder above or below the dataset was named, or dataset_description.json was never written.";
    NotTheRoot Request "NP-NOT-THE-ROOT", "The folder lies in a BIDS dataset, or a dataset lies in it.", "Give the folder that the message names.", "The folder of one participant was named, or the folder that the dataset lies in.";
    Dicom Request "NP-DICOM", "The folder holds DICOM files, not a BIDS dataset.", "Convert them to BIDS with dcm2bids or heudiconv (both call dcm2niix), or with nipoppy bidsify in a Nipoppy study; docs/from-dicom.md goes through it.", "Scans as the scanner sent them, before conversion.";
    DatasetInvalid Request "NP-DATASET-INVALID", "The dataset breaks a BIDS rule that processing relies on.", "Correct what the message names; the BIDS validator shows all findings.", "A description without Name or BIDSVersion, folders that differ only in upper and lower case, or files from two conversions.";
    UnknownLabel Request "NP-UNKNOWN-LABEL", "A selected participant, session, task or modality is not in the dataset.", "Correct the label; the message lists the nearest ones that exist.", "A label without its leading zeros, with another case, or of a participant that was renamed or never converted.";
    NothingMatches Request "NP-NOTHING-MATCHES", "The filters leave no scan to process.", "Loosen --participant-label, --session-label, --modalities or the filter file; --dry-run shows what is there.", "Filters that exclude each other, a session that no participant has, scans of other kinds than T1w and bold, or names that are not BIDS.";
    TemplateMissing Request "NP-TEMPLATE-MISSING", "A template of --output-spaces is not available on this machine.", "Fetch the template where there is a network, and name its folder with TEMPLATEFLOW_HOME; MNI152NLin2009cAsym needs none.", "A compute node without network, TEMPLATEFLOW_HOME not set or not bound into the container, or files of TemplateFlow that were never fetched.";
    UnknownLevel Request "NP-UNKNOWN-LEVEL", "The analysis level is neither participant nor group.", "Use participant or group as the third argument.", "A level of another BIDS app, or a folder too few, so that another argument came third.";
    InvocationMixed Request "NP-INVOCATION-MIXED", "Both an invocation file and other arguments were given.", "Put everything into the file, or give arguments only.", "A wrapper that adds options of its own to an invocation.";
    InvocationInvalid Request "NP-INVOCATION-INVALID", "The invocation file is not what the descriptor allows.", "Correct the input named; neuro-preprocess descriptor prints what is allowed.", "An invocation written for another version, or numbers written as texts.";
    NipoppyInvalid Request "NP-NIPOPPY-INVALID", "The Nipoppy study folder cannot be read.", "Check manifest.tsv, the curation status file and global_config.json of the study; nipoppy status helps.", "A study that was moved, a table edited by hand, or a version of Nipoppy with another layout.";
    ConfigInvalid Request "NP-CONFIG-INVALID", "The configuration or filter file cannot be used.", "Correct the key and value named in the message.", "A misspelt key, a value without quotes, or a section that is missing.";
    OutputUnusable Request "NP-OUTPUT-UNUSABLE", "The output folder cannot be used.", "Choose a folder outside the input that you may write to and that has free space.", "No write permission, a full disk or quota, a file of that name, or an output inside the input.";
    // Validation: one scan.
    NotNifti Validation "NP-NOT-NIFTI", "The file is not NIfTI.", "Replace it by the converted scan; for .hdr/.img pairs convert to a single .nii.gz first.", "A DICOM, MINC or ANALYZE file, an archive, or a page of a web server that was saved under the name of a scan.";
    NotMaterialised Validation "NP-NOT-MATERIALISED", "The file's content was not fetched (a link of git-annex or DataLad, or a git-lfs pointer).", "Fetch it: datalad get PATH (or git lfs pull).", "A dataset that was cloned without its content.";
    Truncated Validation "NP-TRUNCATED", "The file ends before its header says it should.", "Copy or convert the scan again; the transfer was cut short.", "A transfer that was broken off, a full disk during conversion, or a file that is still being written.";
    CorruptGzip Validation "NP-CORRUPT-GZIP", "The gzip stream is damaged.", "Copy or convert the scan again; gzip -t FILE shows the same error.", "A transfer in text mode, a broken disk, or a transfer that was broken off.";
    TrailingData Validation "NP-TRAILING-DATA", "The file goes on after the last voxel.", "Convert the scan again; what follows the image is unknown.", "Two files written into one, or a converter that counted the volumes wrongly.";
    BadHeader Validation "NP-BAD-HEADER", "The NIfTI header contradicts itself or has impossible values.", "Convert the scan again from DICOM; the message names the field.", "A header written by hand or by a defective converter, or bytes that were swapped.";
    UnsupportedType Validation "NP-UNSUPPORTED-TYPE", "The voxels are not real numbers (complex, RGB, or an unknown type).", "Store a real-valued (magnitude) image.", "Phase or complex images of a reconstruction, or a colour map exported as an image.";
    BadOrientation Validation "NP-BAD-ORIENTATION", "The header does not say how the voxels lie in space.", "Set a valid sform or qform, for example by converting again with dcm2niix.", "A conversion that lost the geometry, or a tool that set both codes to 0.";
    WrongDimensions Validation "NP-WRONG-DIMENSIONS", "The image has the wrong number of dimensions, volumes or slices for its kind.", "A T1w image is one 3-D volume, a bold run a 4-D series; correct the file or its name.", "A localiser, a single volume or a derived map under the name of a scan, or a series that was cut short.";
    NonFinite Validation "NP-NON-FINITE", "The image has too many NaN or infinite voxels.", "Convert the scan again; a few such voxels would have been set to zero.", "A division by zero in an earlier step, or an image already masked with NaN.";
    NoSignal Validation "NP-NO-SIGNAL", "The image is empty or constant.", "Look at the scan; acquire or convert it again.", "A failed export, an empty series, or a mask in place of the scan.";
    BadTiming Validation "NP-BAD-TIMING", "The repetition time is missing or contradicts itself.", "Set RepetitionTime in the sidecar, in seconds, equal to pixdim[4].", "Milliseconds in place of seconds, a conversion without sidecar, or an edited header.";
    BadSidecar Validation "NP-BAD-SIDECAR", "A JSON sidecar that applies to the scan cannot be read.", "Correct the file named; it must be one UTF-8 JSON object.", "A comma too many, an encoding other than UTF-8, or a file that was cut short.";
    Strict Validation "NP-STRICT", "With --strict, anything odd about the input is an error.", "Correct what the message names, or run without --strict.", "A header field that had to be repaired, a repetition time that had to be guessed, files left out for their names, or participants.tsv out of date.";
    EchoesUnfit Validation "NP-ECHOES-UNFIT", "The echoes of a multi-echo run do not fit together.", "Correct what the message names; every echo needs its own EchoTime in seconds, and all the same voxels and volumes.", "A sidecar without EchoTime, milliseconds in place of seconds, an echo that was cut short, or files of two runs under one name.";
    DuplicateScan Validation "NP-DUPLICATE-SCAN", "Two files claim to be the same scan.", "Keep one of the files named.", "Both .nii and .nii.gz of a scan, or a repeated scan without run-.";
    // Processing.
    NoBrain Processing "NP-NO-BRAIN", "No brain could be found in the image.", "Look at the scan: field of view, contrast, orientation; it may not be a head.", "A phantom, another part of the body, an inverted contrast, or an orientation that the header gets wrong.";
    BiasFailed Processing "NP-BIAS-FAILED", "The bias field could not be estimated.", "Look at the scan and its mask; too little tissue is usable.", "A mask that holds hardly any tissue, or an image with few grey levels.";
    MotionFailed Processing "NP-MOTION-FAILED", "The volumes could not be aligned.", "Look at the run: missing slices, dropped volumes, or motion of more than the field of view.", "A series that was broken off, spikes over whole volumes, or a participant who left the coil.";
    NormalizationFailed Processing "NP-NORMALIZATION-FAILED", "No reference intensity could be found.", "Look at the scan's contrast and brain mask.", "A contrast without white-matter peak, or a mask outside the head.";
    RegistrationFailed Processing "NP-REGISTRATION-FAILED", "The brain could not be registered to a template.", "Look at the brain mask and at the orientation of the scan; --output-spaces func needs no template.", "A mask that is not the brain, a scan cut to a part of the head, a header with a wrong orientation, or another contrast than T1w.";
    NoAnatomy Processing "NP-NO-ANATOMY", "A bold run cannot be resampled to the requested spaces without a usable T1w image.", "Fix the T1w image that the message names, or use --output-spaces func, which needs none.", "A participant without a T1w image, one that failed, or one whose tissues could not be told apart.";
    CoregistrationFailed Processing "NP-COREGISTRATION-FAILED", "The bold run could not be registered to the T1w image.", "Check that both scans are of the same participant, and their headers; --output-spaces func needs no registration.", "Scans of two heads under one name, a header with a wrong position, or a run that shows none of the brain in the T1w image.";
    // Input and output.
    ReadFailed Io "NP-READ-FAILED", "A file could not be read.", "Check permissions, the disk and the network mount, then run again.", "No read permission, a network disk that was unavailable, or a failing disk.";
    SubmitFailed Io "NP-SUBMIT-FAILED", "Slurm did not accept the jobs.", "Correct what the message names. The scripts are written: sh submit.sh in their folder submits them.", "A partition, account or limit that the cluster does not have, or a controller that is down.";
    WriteFailed Io "NP-WRITE-FAILED", "An output could not be written; nothing partial was left under its name.", "Check free space, quota and permissions of the output folder, then run again.", "A full disk or quota, a network disk that was unavailable, or a folder that was removed.";
    // The run.
    OutOfMemory Memory "NP-OUT-OF-MEMORY", "The scan needs more memory than the run may use.", "Raise --mem, or run on a larger node.", "A large scan, several scans at once, or a limit of the scheduler below what was asked for.";
    Interrupted Cancelled "NP-INTERRUPTED", "The run was asked to stop before the scan was done.", "Run the same command again; finished scans are kept.", "Ctrl-C, a time limit of the scheduler, or a node that was shut down.";
    Panicked Internal "NP-INTERNAL", "A defect in neuro-preprocess stopped this scan.", "Please report it with the log of this scan.", "A bug.";
    InjectedFailure Injected "NP-INJECTED", "A failure on purpose (--fail-rate).", "Run without --fail-rate.", "--fail-rate, or the demo of failures.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_every_sentence_ends() {
        let codes: HashSet<_> = ErrorCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        for c in ErrorCode::ALL {
            assert!([c.meaning(), c.advice(), c.causes()].iter().all(|s| s.ends_with('.')), "{c}");
        }
    }
}
