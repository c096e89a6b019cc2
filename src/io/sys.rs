//! System calls that std and mio lack, behind safe functions.
//!
//! The only file with `unsafe`. Each block says why it is sound; nothing here decides anything.
//!
//! Not here: sockets (`stream`, `udp`), which are mio's.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// One of the system's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Since boot, suspended time included (`CLOCK_BOOTTIME`).
    Boot,
    /// Since 1970 (`CLOCK_REALTIME`).
    Real,
    /// Since boot, suspended time left out (`CLOCK_MONOTONIC`).
    Monotonic,
    /// Processor time of this process (`CLOCK_PROCESS_CPUTIME_ID`).
    Process,
}

/// What [`wait_ready`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Bytes or the end can be read.
    Read,
    /// Bytes can be written, or writing fails at once.
    Write,
}

/// How [`open_at`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To read one that exists.
    Read,
    /// To read and write one that exists.
    Write,
    /// To read and write one that must not exist.
    New,
    /// To read and write one that may exist.
    Any,
}

/// The time that a clock shows.
#[must_use]
pub fn clock_time(clock: Clock) -> Duration {
    let id = match clock {
        Clock::Boot => libc::CLOCK_BOOTTIME,
        Clock::Real => libc::CLOCK_REALTIME,
        Clock::Monotonic => libc::CLOCK_MONOTONIC,
        Clock::Process => libc::CLOCK_PROCESS_CPUTIME_ID,
    };
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the pointer is to writable memory of the right type and size.
    let result = unsafe { libc::clock_gettime(id, time.as_mut_ptr()) };
    assert_eq!(
        result, 0,
        "clock_gettime({id}) fails only for unknown clocks"
    );
    // SAFETY: clock_gettime returned 0, so it has written the whole value.
    let time = unsafe { time.assume_init() };
    // A civil clock set before 1970 reads as 1970.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// Fills `bytes` from the system's random number generator (getrandom(2)).
///
/// # Errors
/// The system's, where a filter forbids the call or the kernel has none.
pub fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: pointer and length are those of a live, writable slice.
        let n = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(n) {
            Ok(n) => filled += n,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// Opens a file of a directory by its name there, never through a symbolic link; a new one is its owner's
/// alone (0600).
///
/// # Errors
/// The system's.
pub fn open_at(dir: BorrowedFd<'_>, name: &str, open: Open) -> io::Result<OwnedFd> {
    let name = CString::new(name)?;
    let flags = libc::O_NOFOLLOW
        | libc::O_CLOEXEC
        | match open {
            Open::Read => libc::O_RDONLY,
            Open::Write => libc::O_RDWR,
            Open::New => libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
            Open::Any => libc::O_RDWR | libc::O_CREAT,
        };
    let fd = retry(|| {
        // SAFETY: the name ends with a zero byte and lives until the call is over; the mode is what O_CREAT
        // reads.
        unsafe { libc::openat(dir.as_raw_fd(), name.as_ptr(), flags, 0o600) }
    })?;
    // SAFETY: the descriptor is new, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a directory, never through a symbolic link.
///
/// # Errors
/// The system's.
pub fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero byte and lives until the call is over.
    let fd = retry(|| unsafe { libc::open(path.as_ptr(), flags) })?;
    // SAFETY: the descriptor is new, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The user that this process acts as.
#[must_use]
pub fn effective_user() -> u32 {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}

/// Gives a file of a directory another name there.
///
/// # Errors
/// The system's.
pub fn rename_at(dir: BorrowedFd<'_>, from: &str, to: &str) -> io::Result<()> {
    let (from, to) = (CString::new(from)?, CString::new(to)?);
    let dir = dir.as_raw_fd();
    // SAFETY: both names end with a zero byte and live until the call is over.
    retry(|| unsafe { libc::renameat(dir, from.as_ptr(), dir, to.as_ptr()) }).map(drop)
}

/// Removes a file of a directory by its name there.
///
/// # Errors
/// The system's.
pub fn unlink_at(dir: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: the name ends with a zero byte and lives until the call is over.
    retry(|| unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), 0) }).map(drop)
}

/// Reserves the first `bytes` of a file on disk, and makes it that long (fallocate(2)).
///
/// # Errors
/// The system's; `Unsupported` where the file system can't.
pub fn allocate(file: BorrowedFd<'_>, bytes: u64) -> io::Result<()> {
    let bytes = i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: takes numbers only.
    retry(|| unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes) }).map(drop)
}

/// How many bytes the file system of this file or directory holds, taken or not (statvfs(3)).
///
/// # Errors
/// The system's.
pub fn file_system_bytes(file: BorrowedFd<'_>) -> io::Result<u64> {
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the pointer is to writable memory of the right type and size.
    retry(|| unsafe { libc::fstatvfs(file.as_raw_fd(), found.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded and filled all of it.
    let found = unsafe { found.assume_init() };
    Ok(found.f_blocks.saturating_mul(found.f_frsize))
}

/// Raises the soft limit of open files to the hard one, and returns what holds then.
///
/// # Errors
/// The system's.
pub fn raise_open_file_limit() -> io::Result<u64> {
    let mut limit = open_file_limits()?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the pointer is to a live value of the type the call reads.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    }
    Ok(limit.rlim_cur)
}

/// How many files may be open.
///
/// # Errors
/// The system's.
pub fn open_file_limit() -> io::Result<u64> {
    Ok(open_file_limits()?.rlim_cur)
}

fn open_file_limits() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a live value of the type the call writes.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit)
}

/// Bytes of a page of memory.
#[must_use]
pub fn page_bytes() -> u64 {
    // SAFETY: it takes a number, and is always known (sysconf(3)).
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(0)
}

/// Blocks signals in this thread, and in those it starts from now on.
///
/// # Errors
/// The system's, for a number that is no signal.
pub fn block_signals(signals: &[i32]) -> io::Result<()> {
    let set = signal_set(signals)?;
    // SAFETY: the set is initialised, and no old set is asked for.
    let error = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Which of descriptors 0, 1 and 2 were closed when the process began, a bit each.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Looks at them before std does. Its runtime opens `/dev/null` in the place of closed ones before `main`, and that
/// can't be told from what others give on purpose (Python's `subprocess.DEVNULL` and daemon(3) open it for reading and
/// writing too).
extern "C" fn look_at_standard_streams() {
    for fd in 0..3 {
        // SAFETY: it takes numbers only; a descriptor that is closed is an error, not undefined.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

// SAFETY: the loader calls what stands in this section once, before `main` and any thread, with arguments that a
// function of the C calling convention may leave alone (ELF gABI, "Initialization and Termination Functions"). It uses
// nothing of std that needs its runtime: a system call and an atomic.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_STANDARD_STREAMS: extern "C" fn() = look_at_standard_streams;

/// Whether a standard stream (0, 1 or 2) was closed when the process began.
#[must_use]
pub fn was_closed(stream: u8) -> bool {
    CLOSED.load(Ordering::Relaxed) >> stream & 1 == 1
}

/// Calls `start` while this thread blocks every signal that can be: a thread that is started there keeps it so.
///
/// # Errors
/// The system's.
pub fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the pointer is to writable memory of the right type.
    check(unsafe { libc::sigfillset(all.as_mut_ptr()) })?;
    // SAFETY: sigfillset has initialised the one set, and the other is writable memory of the right type.
    let error =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let started = start();
    // SAFETY: the first call has succeeded, so it has filled the set; no old one is asked for.
    let error =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    match error {
        0 => Ok(started),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Writes some of these bytes, past all buffers.
///
/// # Errors
/// The system's; a signal is none.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer is to so many live bytes, which the call only reads.
        let count = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(count) {
            Ok(count) => return Ok(count),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Whether this process was told to ignore a signal (by nohup, for example).
///
/// # Errors
/// The system's, for a number that is no signal.
pub fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is set, and the old one goes to writable memory of the right type.
    check(unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded and filled all of it.
    Ok(unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

/// Takes variables out of the environment, so that no child inherits them. They stay where there are other threads,
/// or where that can't be found out.
pub fn remove_environment(names: &[&str]) {
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    if !matches!(threads, Ok(1)) {
        return;
    }
    for name in names {
        // SAFETY: this is the only thread, as was just found, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
}

/// A descriptor from which blocked signals are read (signalfd(2)), non-blocking.
///
/// # Errors
/// The system's.
pub fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals)?;
    // SAFETY: the set is initialised; -1 asks for a new descriptor.
    let fd = check(unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) })?;
    // SAFETY: the descriptor is new, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the kernel probe a connection that has been silent for `delay`, every `interval`, and give it up after
/// `count` probes without an answer (tcp(7)). Parts of a second are dropped; all three are at least 1.
///
/// # Errors
/// The system's.
pub fn set_keep_alive(
    socket: BorrowedFd<'_>,
    delay: Duration,
    interval: Duration,
    count: u32,
) -> io::Result<()> {
    let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX).max(1);
    let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
    set_option(
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPIDLE,
        seconds(delay),
    )?;
    set_option(
        socket,
        libc::IPPROTO_TCP,
        libc::TCP_KEEPINTVL,
        seconds(interval),
    )?;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, count)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)
}

/// Bounds what the kernel takes of what is sent and not read yet, on a socket or on all that a listener will accept
/// (SO_SNDBUF, socket(7)); it doubles the number, for its own use.
///
/// # Errors
/// The system's.
pub fn set_send_buffer(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, bytes)
}

/// The user that this process acts as.
#[must_use]
pub fn user_id() -> u32 {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}

/// Who is at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The user.
    pub uid: u32,
    /// The process, if it can be seen from here.
    pub pid: Option<u32>,
}

/// The user who connected (SO_PEERCRED, unix(7)).
///
/// # Errors
/// The system's.
pub fn peer(socket: BorrowedFd<'_>) -> io::Result<Peer> {
    let mut peer = MaybeUninit::<libc::ucred>::uninit();
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointer is to writable memory of the type that this option fills, and the length is its length.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            peer.as_mut_ptr().cast(),
            &mut length,
        )
    })?;
    assert_eq!(length as usize, size_of::<libc::ucred>(), "it is filled");
    // SAFETY: the call has succeeded and filled all of it.
    let peer = unsafe { peer.assume_init() };
    Ok(Peer {
        uid: peer.uid,
        // 0: it is in a namespace that this process does not see.
        pid: u32::try_from(peer.pid).ok().filter(|pid| *pid > 0),
    })
}

/// Sets which rights new files do not get, and gives what was set before. It is the whole process's: other threads'
/// files get it too.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: it takes a number and always succeeds.
    unsafe { libc::umask(mask as libc::mode_t) }
}

/// How a terminal treats what is typed there (termios(3)).
#[derive(Clone, Copy)]
pub struct TerminalMode(libc::termios);

impl TerminalMode {
    /// The same, but each key can be read at once, is not shown, and is no signal.
    #[must_use]
    pub fn by_key(&self) -> TerminalMode {
        let mut mode = self.0;
        mode.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG);
        mode.c_cc[libc::VMIN] = 0;
        mode.c_cc[libc::VTIME] = 0;
        TerminalMode(mode)
    }
}

/// How this terminal treats what is typed.
///
/// # Errors
/// The system's, where it is no terminal.
pub fn terminal_mode(terminal: BorrowedFd<'_>) -> io::Result<TerminalMode> {
    let mut mode = MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the pointer is to writable memory of the right type and size.
    check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), mode.as_mut_ptr()) })?;
    // SAFETY: the call has succeeded, so it has written the whole value.
    Ok(TerminalMode(unsafe { mode.assume_init() }))
}

/// Has a terminal treat what is typed so, once what was written is out.
///
/// # Errors
/// The system's.
pub fn set_terminal_mode(terminal: BorrowedFd<'_>, mode: &TerminalMode) -> io::Result<()> {
    // SAFETY: the pointer is to a live value, which the call only reads.
    check(unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSADRAIN, &mode.0) })?;
    Ok(())
}

/// Rows and columns of a terminal; `None` if it is none, or does not know.
#[must_use]
pub fn terminal_size(terminal: BorrowedFd<'_>) -> Option<(usize, usize)> {
    let mut size = MaybeUninit::<libc::winsize>::uninit();
    let fd = terminal.as_raw_fd();
    // SAFETY: the pointer is to writable memory of the type that this request fills.
    check(unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, size.as_mut_ptr()) }).ok()?;
    // SAFETY: the call has succeeded, so it has written the whole value.
    let size = unsafe { size.assume_init() };
    let is_known = size.ws_row > 0 && size.ws_col > 0;
    is_known.then_some((size.ws_row.into(), size.ws_col.into()))
}

/// Sleeps until a descriptor is ready: for standard streams that somebody else made non-blocking.
///
/// # Errors
/// The system's; a signal is none.
pub fn wait_ready(fd: BorrowedFd<'_>, ready: Ready) -> io::Result<()> {
    wait_ready_for(fd, ready, None).map(drop)
}

/// The same, for so long at most; says whether it is ready, or a signal came.
///
/// # Errors
/// As above.
pub fn wait_ready_for(
    fd: BorrowedFd<'_>,
    ready: Ready,
    most: Option<Duration>,
) -> io::Result<bool> {
    // Rounded up, so that nobody asks again and again for what is left of a millisecond.
    let millis = most.map(|most| most.as_nanos().div_ceil(1_000_000));
    let millis = millis.map_or(-1, |millis| i32::try_from(millis).unwrap_or(i32::MAX));
    let mut entry = libc::pollfd {
        fd: fd.as_raw_fd(),
        events: match ready {
            Ready::Read => libc::POLLIN,
            Ready::Write => libc::POLLOUT,
        },
        revents: 0,
    };
    // SAFETY: the pointer is to one live entry, and one is what the count says.
    match check(unsafe { libc::poll(&mut entry, 1, millis) }) {
        Ok(count) => Ok(count > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(error),
    }
}

/// A thread that a test signals.
#[cfg(test)]
#[derive(Clone, Copy, Debug)]
pub struct Thread(libc::pthread_t);

#[cfg(test)]
impl Thread {
    /// The calling thread.
    pub fn this() -> Thread {
        // SAFETY: takes nothing and can't fail.
        Thread(unsafe { libc::pthread_self() })
    }

    /// Sends it a signal, which it must have blocked.
    pub fn signal(self, signal: i32) {
        // SAFETY: the tests signal threads that still run.
        assert_eq!(unsafe { libc::pthread_kill(self.0, signal) }, 0);
    }
}

fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: pointer and length are those of a live integer, which is what these options read.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            length,
        )
    };
    check(result).map(drop)
}

/// The number of a network interface (if_nametoindex(3)); `None` if there is none of this name.
#[must_use]
pub fn interface_index(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: the pointer is to a string that ends with a zero byte and lives until the call is over.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => None,
        index => Some(index),
    }
}

fn signal_set(signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the pointer is to writable memory of the right type.
    check(unsafe { libc::sigemptyset(set.as_mut_ptr()) })?;
    // SAFETY: sigemptyset has initialised it.
    let mut set = unsafe { set.assume_init() };
    for &signal in signals {
        // SAFETY: the set is initialised; a bad number is an error, not undefined.
        check(unsafe { libc::sigaddset(&mut set, signal) })?;
    }
    Ok(set)
}

/// Calls again what a signal interrupted.
fn retry(mut call: impl FnMut() -> i32) -> io::Result<i32> {
    loop {
        match check(call()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back() {
        let first = clock_time(Clock::Boot);
        let second = clock_time(Clock::Boot);
        assert!(first > Duration::ZERO && second >= first);
        // 2020-01-01, which this was written after.
        assert!(clock_time(Clock::Real).as_secs() > 1_577_836_800);
    }

    #[test]
    fn random_bytes_differ_and_are_filled_to_the_end() {
        let (mut one, mut two) = ([0; 300], [0; 300]);
        fill_random(&mut one).unwrap();
        fill_random(&mut two).unwrap();
        assert_ne!(one, two);
        assert!(one[256..].iter().any(|byte| *byte != 0));
    }

    #[test]
    fn the_open_file_limit_is_raised_once_and_stays() {
        let limit = raise_open_file_limit().unwrap();
        assert!(limit > 0);
        assert_eq!(raise_open_file_limit().unwrap(), limit);
        assert_eq!(open_file_limit().unwrap(), limit);
    }

    #[test]
    fn f83_network_interfaces_have_numbers() {
        assert!(interface_index("lo").is_some_and(|index| index > 0));
        assert_eq!(interface_index("no-such-interface"), None);
        assert_eq!(interface_index("lo\0"), None);
    }

    #[test]
    fn a_number_that_is_no_signal_is_an_error() {
        assert!(block_signals(&[9999]).is_err());
        assert!(signal_fd(&[-1]).is_err());
    }
}
