//! Owns: reading the small files that hold secrets.
//!
//! Promises: bounded, and never stuck in a pipe. All of it blocks, and a file system may not answer at all.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::super::secret::Secret;
use super::credential::Credential;
use super::docker;
use super::server::Server;
use super::source::Given;
use super::unavailable::Unavailable;

/// Largest file, in bytes: a config.json of many registries is far below, a wrong path may be far above.
const LARGEST: u64 = 1024 * 1024;

/// A file with credentials in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::upstream) enum SecretFile {
    Password {
        user: String,
        path: PathBuf,
    },
    DockerConfig {
        path: PathBuf,
        server: Server,
        /// Of what a helper says that the file names.
        lifetime: Duration,
    },
}

impl SecretFile {
    pub(super) fn read(&self) -> Result<Given, Unavailable> {
        match self {
            Self::Password { user, path } => {
                let credential = Credential::new(user.clone(), secret(path)?);
                Ok(Given::Credential(Arc::new(credential)))
            }
            Self::DockerConfig { path, server, lifetime } => docker::read(path, &text(path)?, server, *lifetime),
        }
    }
}

/// The whole text of a file.
fn text(path: &Path) -> Result<String, Unavailable> {
    let path = path.to_owned();
    let bytes = match bytes(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(Unavailable::NoFile { path }),
        Err(source) => return Err(Unavailable::Read { path, source }),
    };
    if bytes.len() as u64 > LARGEST {
        return Err(Unavailable::TooBig { path, limit: LARGEST });
    }
    String::from_utf8(bytes).map_err(|_| Unavailable::NoText { path })
}

/// A file that holds one secret, without its last line end.
fn secret(path: &Path) -> Result<Secret, Unavailable> {
    let text = text(path)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(Unavailable::Empty { path: path.to_owned() });
    }
    Ok(Secret::from(line.to_owned()))
}

/// One byte more than the limit at most; `None` for what is no file: to open a pipe is to wait for its writer.
#[expect(
    clippy::disallowed_methods,
    reason = "what the administrator named, outside of the store"
)]
fn bytes(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Secret, Unavailable> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        write(&path, bytes);
        secret(&path)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn write(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn the_last_line_end_is_no_part_of_a_secret() {
        for (bytes, expected) in [
            ("s3cret", "s3cret"),
            ("s3cret\n", "s3cret"),
            ("s3cret\r\n", "s3cret"),
            ("s3cret\n\n", "s3cret\n"),
            (" s3 cret ", " s3 cret "),
        ] {
            assert_eq!(read(bytes.as_bytes()).unwrap().expose(), expected);
        }
    }

    #[test]
    fn what_holds_no_secret_is_named() {
        let large = vec![b'x'; usize::try_from(LARGEST).unwrap() + 1];
        let cases: [(&[u8], &str); 5] = [
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b"\r\n", "is empty"),
            (b"\xff", "is not text"),
            (&large, "is larger than 1048576 bytes"),
        ];
        for (bytes, expected) in cases {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.ends_with(&format!("token {expected}")), "{error}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let missing = text(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(missing, Unavailable::Read { .. }), "{missing}");
        for path in [folder.path(), Path::new("/dev/zero")] {
            let error = text(path).unwrap_err().to_string();
            assert_eq!(error, format!("{} is no regular file", path.display()));
        }
    }
}
