//! Floor 1: bytes <-> values, without state beyond one message.

pub mod admin;
pub mod base64;
pub mod body;
pub mod ctl;
pub mod dates;
pub mod dns;
pub mod endpoint_line;
pub mod endpoint_row;
pub mod endpoints;
pub mod health;
pub mod job;
pub mod job_error;
pub mod job_line;
pub mod json;
pub mod letter_line;
pub mod masks;
pub mod metrics;
pub mod names;
pub mod report;
pub mod request;
pub mod response;
pub mod signature;
pub mod spool;
pub mod tally;
pub mod text;
pub mod url;
