//! Pictures and small plain data for the reports: arrays in, encoded images out; no files, no pages.
