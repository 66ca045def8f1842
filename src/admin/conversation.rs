//! The running wharf's end of one connection.
//!
//! Promises that a line, and the time for it, are bounded. Dropped, it hangs up.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use super::Error;
use super::language::{Answer, Command, Request, VERSION};

/// The longest line that asks, in bytes.
const LONGEST: usize = 8 * 1024;

/// What carries the words.
pub(super) trait Words: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Words for S {}

/// One caller.
#[derive(Debug)]
pub(super) struct Conversation<S> {
    stream: BufReader<S>,
    within: Duration,
}

impl<S: Words> Conversation<S> {
    /// With a caller who may take so long for its line, and to make room for each answer.
    pub(super) fn with(stream: S, within: Duration) -> Self {
        let stream = BufReader::new(stream);
        Self { stream, within }
    }

    /// What the caller wants.
    pub(super) async fn listen(&mut self) -> Result<Command, Error> {
        let mut line = Vec::new();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        in_time(self.within, (&mut self.stream).take(most).read_until(b'\n', &mut line)).await?;
        if line.len() == LONGEST && !line.ends_with(b"\n") {
            return Err(Error::TooLong { most: LONGEST });
        }
        understand(&line)
    }

    pub(super) async fn say(&mut self, answer: &Answer) -> Result<(), Error> {
        let mut line = serde_json::to_vec(answer).map_err(Error::Garbage)?;
        line.push(b'\n');
        in_time(self.within, self.stream.write_all(&line)).await
    }
}

fn understand(line: &[u8]) -> Result<Command, Error> {
    let Request { wharf, command } = serde_json::from_slice::<Request<Value>>(line).map_err(Error::Garbage)?;
    serde_json::from_value(command).map_err(|source| {
        if wharf == VERSION {
            return Error::Garbage(source);
        }
        Error::Version {
            ours: VERSION,
            theirs: wharf,
            source,
        }
    })
}

async fn in_time<R>(within: Duration, io: impl Future<Output = std::io::Result<R>>) -> Result<R, Error> {
    let done = timeout(within, io).await;
    Ok(done.map_err(|_late| Error::Silent { within })??)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn whoever_says_nothing_is_given_up() {
        let (mut caller, ours) = duplex(LONGEST);
        caller.write_all(b"{\"wharf\"").await.unwrap();
        let heard = Conversation::with(ours, SOON).listen().await;
        assert!(matches!(heard, Err(Error::Silent { .. })), "half a line is none");
    }

    #[tokio::test]
    async fn whoever_takes_nothing_is_given_up() {
        let (_caller, ours) = duplex(10);
        let told = Conversation::with(ours, SOON).say(&Answer::Ok(())).await;
        assert!(matches!(told, Err(Error::Silent { .. })));
    }
}
