//! What a kind of scan is to those who make synthetic data.

use crate::bids::Modality;
use phantom::Kind;

impl From<Modality> for Kind {
    fn from(modality: Modality) -> Self {
        match modality {
            Modality::T1w => Self::T1w,
            Modality::Bold => Self::Bold,
        }
    }
}
