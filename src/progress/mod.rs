//! How far a run is: for the screen, for `status.json`, and the count at its end.

pub mod live;
pub mod screen;
pub mod status;
pub mod tally;
