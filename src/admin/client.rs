//! The end of the connection that asks.
//!
//! Blocks: a command line has nothing else to do. Waits as long as the running wharf works.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use super::Error;
use super::language::{Answer, Command, Request, VERSION};
use crate::store;

/// The longest line that is taken for an answer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Has the wharf that runs on the store do this; `told` gets each answer but the last. False when none runs.
pub fn ask(config: &store::Config, command: &Command, told: impl FnMut(Answer)) -> Result<bool, Error> {
    match store::reach(config)? {
        Some(stream) => talk(stream, command, told).map(|()| true),
        None => Ok(false),
    }
}

fn talk(mut stream: UnixStream, command: &Command, mut told: impl FnMut(Answer)) -> Result<(), Error> {
    let request = Request {
        wharf: VERSION.to_owned(),
        command,
    };
    let mut line = serde_json::to_vec(&request).map_err(Error::Garbage)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answers = BufReader::new(stream);
    loop {
        line.clear();
        (&mut answers).take(LONGEST).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(Error::Ended);
        }
        let answer = serde_json::from_slice(&line).map_err(|source| Error::Answer { ours: VERSION, source })?;
        match answer {
            Answer::Ok(()) => return Ok(()),
            Answer::Error(why) => return Err(Error::Refused(why)),
            Answer::Content { .. } | Answer::Pin { .. } => told(answer),
        }
    }
}
