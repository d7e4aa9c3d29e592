//! What a person is told: lines while a run goes on, the count at its end, and the tables of a whole dataset.

mod cell;
pub mod group;
pub mod idps;
pub mod live;
pub mod measures;
pub mod screen;
pub mod status;
pub mod tally;
