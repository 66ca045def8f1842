//! The socket through which this machine tells a running wharf what to do: `<store>/wharf.sock`.
//!
//! Owns its file. Promises that nobody but the user of the process can open it, from its first moment on; that one which a
//! dead process has left is replaced, and that nothing else is; and that a store has one at most, because the lock of the
//! store is taken before. Dropping a [`Control`] leaves the file for the next process to replace.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream as Blocking;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, fchmod};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::store::content::disk;
use crate::store::{Config, Error, Store};
use crate::tasks::Tasks;

const FILE: &str = "wharf.sock";
/// What `sun_path` has room for (unix(7)), without the zero at its end, in bytes.
const LONGEST: usize = 107;
/// Newcomers that the kernel holds.
const BACKLOG: u32 = 16;

/// The listening socket of a running wharf.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    tasks: Tasks,
}

impl Store {
    /// Listens beside the content. Needs a tokio runtime.
    pub async fn control(&self) -> Result<Control, Error> {
        let path = self.layout.beside(FILE);
        let listen = move || listen(&path).map(|socket| (socket, path));
        let listening = self.tasks.blocking(listen).await.map_err(Error::Lost)?;
        let (socket, path) = listening?;
        let listener = socket.listen(BACKLOG).map_err(at("listen on", &path))?;
        Ok(Control {
            listener,
            path,
            tasks: self.tasks.clone(),
        })
    }
}

impl Control {
    /// The next caller. Cancel safe.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }

    /// Stops listening, and takes the file away.
    pub async fn close(self) -> Result<(), Error> {
        let Self { listener, path, tasks } = self;
        drop(listener);
        tasks.blocking(move || disk::remove(&path)).await.map_err(Error::Lost)?
    }
}

/// Reaches the wharf that runs on the store; `None` when there is none. Blocks.
pub fn reach(config: &Config) -> Result<Option<Blocking>, Error> {
    let path = config.path.join(FILE);
    match Blocking::connect(short(&path)?) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(source) => Err(at("connect to", &path)(source)),
    }
}

/// The kernel gives the file the mode that the socket has when it is bound.
fn listen(path: &Path) -> Result<UnixSocket, Error> {
    short(path)?;
    disk::remove_socket(path)?;
    let socket = UnixSocket::new_stream().map_err(at("make", path))?;
    fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(|errno| at("make", path)(errno.into()))?;
    socket.bind(path).map_err(at("make", path))?;
    Ok(socket)
}

fn short(path: &Path) -> Result<&Path, Error> {
    if path.as_os_str().len() <= LONGEST {
        return Ok(path);
    }
    Err(Error::LongSocket {
        path: path.to_path_buf(),
        longest: LONGEST,
    })
}

fn at(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Disk { verb, path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    use super::*;
    use crate::store::tests::Dir;

    fn config(dir: &Dir) -> Config {
        Config {
            path: dir.0.path().join("store"),
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn it_is_its_users_alone_and_goes_when_it_is_closed() {
        let dir = Dir::new();
        let store = dir.open().await;
        let file = dir.0.path().join("store").join(FILE);
        assert!(reach(&config(&dir)).unwrap().is_none(), "nobody listens yet");
        let control = store.control().await.unwrap();
        let found = fs::symlink_metadata(&file).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o7777, 0o600);
        assert!(reach(&config(&dir)).unwrap().is_some());
        control.accept().await.unwrap();
        control.close().await.unwrap();
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn one_that_was_left_is_replaced_and_a_file_is_not() {
        let dir = Dir::new();
        let store = dir.open().await;
        let file = dir.0.path().join("store").join(FILE);
        drop(store.control().await.unwrap());
        assert!(
            file.exists() && reach(&config(&dir)).unwrap().is_none(),
            "nobody is behind it"
        );
        store.control().await.unwrap().close().await.unwrap();

        #[expect(clippy::disallowed_methods, reason = "a test's own file")]
        fs::write(&file, "somebody's").unwrap();
        let refused = store.control().await.unwrap_err().to_string();
        assert!(
            refused.starts_with("cannot make /") && refused.ends_with("wharf.sock"),
            "{refused}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
    }

    #[test]
    fn a_path_that_is_too_long_is_told_from_one_that_fits() {
        let path = |length: usize| PathBuf::from(format!("/{}", "a".repeat(length - 1)));
        let bind = |path: &Path| Blocking::connect(path).unwrap_err().kind();
        assert_eq!(
            bind(short(&path(LONGEST)).unwrap()),
            ErrorKind::NotFound,
            "the kernel takes it"
        );
        let refused = short(&path(LONGEST + 1)).unwrap_err().to_string();
        assert!(refused.contains("107") && refused.contains("store.path"), "{refused}");
    }
}
