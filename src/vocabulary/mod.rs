//! The words that every part of the program shares, as plain data: stages, sessions, reasons, events. Knows no module but
//! `bids` and the codes of errors.

mod event;
mod faults;
mod phantom;
mod reason;
mod session;
mod space;
mod stage;
mod wanted;

pub use event::{EventSink, RunEvent};
pub use faults::Faults;
pub use reason::{Reason, State};
pub use session::{SessionId, Status};
pub use space::{Resolution, Space, SpaceError, Spaces, TemplateId};
pub use stage::{STAGE_SPANS, Stage, StageAttribute};
pub use wanted::{Fieldmaps, OutputLevel, RegistrationStart, Resume, SliceTiming, Wanted};
