//! The Unix socket's place in the file system, and who may use it.
//!
//! The file comes into being with its final mode, so nobody connects who may not: 0600, or 0666 where the user of
//! each connection decides (SO_PEERCRED). A file that a dead process left is replaced; one behind which somebody
//! listens is not. It is removed when the socket closes, if it is still the same file.
//!
//! Not here: what goes on at the connections (`clients`).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use conduit::intake::event::Access;
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};

use crate::io::log::quoted;
use crate::io::sys;

/// What a mode of 0600 leaves out of 0777 but for the owner's right to run, which means nothing here.
const UMASK_PRIVATE: u32 = 0o177;
const UMASK_PUBLIC: u32 = 0o111;

/// Tries to lock the directory, and the pause after each. Who starts as we do holds the lock for much less than all of
/// them; whoever may read the directory can hold it for ever, and is not to keep us from starting.
const LOCK_TRIES: u32 = 1000;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// Who may do what, beside root and the own user, who may do everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    /// Who may submit.
    pub submit: Vec<u32>,
    /// Who may do everything.
    pub control: Vec<u32>,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// The file's device and number: as long as the socket is open no other file has them.
    identity: (u64, u64),
    users: Users,
    own: u32,
}

impl Socket {
    /// These users may do something from now on.
    ///
    /// # Errors
    /// The system's, where the file's mode can't be changed; then all is as before.
    pub fn set_users(&mut self, users: Users) -> io::Result<()> {
        if users.umask() != self.users.umask() {
            self.set_mode(0o666 & !users.umask())?;
        }
        self.users = users;
        Ok(())
    }

    /// Whatever stands at the path by now, only our own file's mode is changed: the file is opened, looked at, and
    /// changed as what was opened.
    fn set_mode(&self, mode: u32) -> io::Result<()> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&self.path)?;
        let meta = file.metadata()?;
        if (meta.dev(), meta.ino()) != self.identity {
            return Err(io::Error::other(format!(
                "{} is not the socket any more: something else was put there",
                quoted(&self.path.to_string_lossy())
            )));
        }
        // fchmod(2) takes no descriptor of O_PATH, and fchmodat2(2) is newer than many kernels.
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::set_permissions(opened, fs::Permissions::from_mode(mode))
    }
}

impl Users {
    fn access(&self, own: u32, uid: u32) -> Option<Access> {
        if uid == 0 || uid == own || self.control.contains(&uid) {
            Some(Access::Control)
        } else {
            self.submit.contains(&uid).then_some(Access::Submit)
        }
    }

    fn umask(&self) -> u32 {
        match self.submit.is_empty() && self.control.is_empty() {
            true => UMASK_PRIVATE,
            false => UMASK_PUBLIC,
        }
    }
}

impl Socket {
    /// Listens at `path`. Changes the process's umask for a moment: call it before any thread starts.
    ///
    /// # Errors
    /// Somebody listens there, something else is there, or the system's.
    pub fn bind(path: &Path, users: Users) -> io::Result<Socket> {
        let _lock = lock_directory(path);
        remove_stale(path)?;
        let before = sys::set_umask(users.umask());
        let listener = UnixListener::bind(path);
        sys::set_umask(before);
        let listener = listener?;
        let meta = fs::symlink_metadata(path)?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
            identity: (meta.dev(), meta.ino()),
            users,
            own: sys::user_id(),
        })
    }

    /// Has `registry` report connections under `token`.
    ///
    /// # Errors
    /// The system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, Interest::READABLE)
    }

    /// The next connection, and what its user may do: nothing, if it is a stranger's.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when there is none.
    pub fn accept(&self) -> io::Result<(UnixStream, sys::Peer, Option<Access>)> {
        let (stream, _) = self.listener.accept()?;
        let peer = sys::peer(stream.as_fd())?;
        Ok((stream, peer, self.access(peer.uid)))
    }

    /// Conduit's own user.
    #[must_use]
    pub const fn own(&self) -> u32 {
        self.own
    }

    /// What this user may do; none: nothing.
    #[must_use]
    pub fn access(&self, uid: u32) -> Option<Access> {
        self.users.access(self.own, uid)
    }
}

impl Drop for Socket {
    /// Takes the file away while the listener still holds its number.
    fn drop(&mut self) {
        let meta = fs::symlink_metadata(&self.path);
        if meta.is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::warn!("the socket's file is left over: {error}");
        }
    }
}

/// Keeps a second process that starts now from taking our new file for the stale one: it waits until we listen. Where
/// the lock is not to be had, two that start in the same instant may both come up, and one is never reached.
#[expect(
    clippy::disallowed_methods,
    reason = "at start, where nothing else waits"
)]
fn lock_directory(path: &Path) -> Option<File> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..LOCK_TRIES {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !meta.file_type().is_socket() {
        let what = "something that is no socket is there already";
        return Err(io::Error::new(ErrorKind::AlreadyExists, what));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // A full backlog (EAGAIN) is alive as well.
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
        Ok(_) | Err(_) => {
            let what = "another process listens there already";
            Err(io::Error::new(ErrorKind::AddrInUse, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "that nothing happens takes time")]
    fn who_starts_while_another_takes_its_place_waits_for_it() {
        let directory =
            std::env::temp_dir().join(format!("conduit-directory-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join("socket");
        let other = lock_directory(&path).expect("nobody else has it");
        let nobody = Users {
            submit: vec![],
            control: vec![],
        };
        let socket = thread::scope(|scope| {
            let socket = scope.spawn(|| Socket::bind(&path, nobody));
            thread::sleep(Duration::from_millis(50));
            assert!(!path.exists(), "it does not even look yet");
            drop(other);
            socket.join().unwrap().unwrap()
        });
        assert!(path.exists());
        drop(socket);
        fs::remove_dir(directory).unwrap();
    }

    #[test]
    fn f138_only_the_own_files_mode_changes_whatever_stands_at_the_path() {
        let directory = std::env::temp_dir().join(format!("conduit-mode-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (path, other) = (directory.join("socket"), directory.join("other"));
        let users = |submit: &[u32]| Users {
            submit: submit.to_vec(),
            control: vec![],
        };
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o777;
        let mut socket = Socket::bind(&path, users(&[])).unwrap();
        assert_eq!(mode(&path), 0o600);
        socket.set_users(users(&[7])).unwrap();
        assert_eq!(mode(&path), 0o666);
        socket.set_users(users(&[])).unwrap();
        assert_eq!(mode(&path), 0o600);
        let private = || fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&other, "somebody's").unwrap();
        private();
        fs::rename(&path, directory.join("moved")).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let error = socket.set_users(users(&[7])).unwrap_err();
        assert!(
            error.to_string().contains("not the socket any more"),
            "{error}"
        );
        assert_eq!(
            (mode(&other), socket.access(7)),
            (0o600, None),
            "all is as before"
        );
        // A file of its own in its place is no more ours than a link.
        fs::remove_file(&path).unwrap();
        fs::rename(&other, &path).unwrap();
        socket.set_users(users(&[7])).unwrap_err();
        assert_eq!(mode(&path), 0o600);
        drop(socket);
        assert!(path.exists(), "what is not ours stays");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn root_and_the_own_user_may_do_everything_and_the_lists_say_who_else() {
        let users = Users {
            submit: vec![7, 8],
            control: vec![8, 9],
        };
        for (uid, access) in [
            (0, Some(Access::Control)),
            (5, Some(Access::Control)),
            (7, Some(Access::Submit)),
            (8, Some(Access::Control)),
            (9, Some(Access::Control)),
            (10, None),
        ] {
            assert_eq!(users.access(5, uid), access, "{uid}");
        }
        assert_eq!(users.umask(), UMASK_PUBLIC);
        let nobody = Users {
            submit: vec![],
            control: vec![],
        };
        assert_eq!((nobody.access(5, 6), nobody.umask()), (None, UMASK_PRIVATE));
    }
}
