//! The spool's files, whatever is in them: nothing panics, nothing is read more than a few times, memory follows
//! the files, and what comes of it is a journal that works.

use conduit::base::rng::Rng;
use conduit::base::time::{Instant, Now, Wall};
use conduit::journal::event::{
    Action, Input, OpId, Output, Performed, SourceKind, Submission, Verdict,
};
use conduit::journal::recovery::Recovery;
use conduit::journal::{Journal, Settings};
use conduit::wire::job::User;

const NAMES: [&str; 3] = [
    "dead-0000000001.log",
    "jobs-0000000001.log",
    "jobs-0000000002.log",
];
const HEADER_BYTES: usize = 96;
const BATCH_BYTES: usize = 20;

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let [mode, data @ ..] = data else { return };
    // How many files, and whether their checksums are made right: else hardly any input gets past them.
    let files = usize::from(mode >> 1) % NAMES.len() + 1;
    let size = data.len().div_ceil(files).max(1);
    let mut files: Vec<(&str, Vec<u8>)> = NAMES[NAMES.len() - files..]
        .iter()
        .zip(data.chunks(size))
        .map(|(name, bytes)| (*name, bytes.to_vec()))
        .collect();
    if mode & 1 == 1 {
        for (name, bytes) in &mut files {
            repair(name, bytes);
        }
    }
    if let Some(mut journal) = recover(&files, data.len()) {
        use_it(&mut journal, &files, data.len());
    }
}

fn recover(files: &[(&str, Vec<u8>)], bytes: usize) -> Option<Journal> {
    let names = files
        .iter()
        .map(|(name, bytes)| (*name, bytes.len() as u64));
    let mut rng = Rng::from_seed([6; 32]);
    let mut recovery = Recovery::new(settings(), names, &mut rng);
    let mut reads = 0;
    while let Some((op, action)) = recovery.poll_output() {
        reads += 1;
        assert!(
            reads <= bytes / 4 + 20,
            "the same bytes are read again and again"
        );
        recovery.handle_input(op, Ok(perform(files, action)));
    }
    let (journal, summary) = recovery.finish(now()).ok()?;
    journal.check_invariants();
    assert!(
        (summary.pending + summary.letters) * 50 <= bytes,
        "a job takes bytes"
    );
    Some(journal)
}

/// Hands out what was found, and takes another job in.
fn use_it(journal: &mut Journal, files: &[(&str, Vec<u8>)], bytes: usize) {
    let mut found = Vec::new();
    while let Some(pending) = journal.next_pending(now()) {
        assert!(pending.due >= now().mono && pending.due <= now().mono + settings().max_wait);
        assert!(pending.line_bytes as usize <= bytes);
        found.push(pending);
    }
    for pending in &found {
        let key = pending.key;
        journal.handle_input(now(), Input::Fetch { key });
    }
    let mut fetched = 0;
    let mut said = 0;
    for round in 0..3 {
        while let Some(output) = journal.poll_output() {
            said += 1;
            assert!(said < 100_000, "it comes to rest");
            match output {
                Output::Disk { op, action } => step(journal, files, op, action),
                Output::Fetched { key, fetched: got } => {
                    let pending = found.iter().find(|pending| pending.key == key);
                    let got = got.expect("it was read a moment ago");
                    assert_eq!(
                        pending.map(|it| it.line_bytes as usize),
                        Some(got.line.len())
                    );
                    fetched += 1;
                }
                _ => {}
            }
        }
        if round == 0 {
            let verdict = journal.submit(now(), &submission());
            let is_known = matches!(verdict, Verdict::Duplicate { .. } | Verdict::Refused(_));
            assert!(is_known || matches!(verdict, Verdict::New(_)));
        }
    }
    assert_eq!(fetched, found.len());
    journal.check_invariants();
}

fn step(journal: &mut Journal, files: &[(&str, Vec<u8>)], op: OpId, action: Action) {
    let result = Ok(perform(files, action));
    journal.handle_input(now(), Input::Performed { op, result });
}

fn perform(files: &[(&str, Vec<u8>)], action: Action) -> Performed {
    match action {
        Action::Read {
            file,
            offset,
            bytes,
        } => {
            let found = files.iter().find(|(name, _)| *name == file.name());
            let found = found.map_or(&[][..], |(_, bytes)| bytes);
            let start = (offset as usize).min(found.len());
            let end = (start + bytes as usize).min(found.len());
            Performed::Bytes(found[start..end].to_vec())
        }
        Action::Write { bytes, from, .. } => Performed::Written(bytes.len() - from as usize),
        _ => Performed::Done,
    }
}

/// Makes the header and every checksum what it should be, following the lengths that stand there.
fn repair(name: &str, bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let number = if name.ends_with("2.log") { 2_u32 } else { 1 };
    let is_dead = name.starts_with("dead");
    bytes[..8].copy_from_slice(b"\xffconduit");
    bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    bytes[12] = u8::from(is_dead);
    bytes[16..20].copy_from_slice(&number.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    // The low halves of the first word of the ids' seed and of the second of the payloads'.
    let start = u32_at(bytes, 32) ^ u32_at(bytes, 56);
    let mut at = HEADER_BYTES;
    while at + BATCH_BYTES <= bytes.len() {
        bytes[at..at + 4].copy_from_slice(&[0xfe, 0xff, b'b', 0xfd]);
        let mut hasher = crc32fast::Hasher::new_with_initial(start);
        hasher.update(if is_dead { b"d" } else { b"j" });
        hasher.update(&number.to_le_bytes());
        hasher.update(&bytes[at + 4..at + 16]);
        let checksum = hasher.finalize();
        bytes[at + 16..at + BATCH_BYTES].copy_from_slice(&checksum.to_le_bytes());
        let end = at + BATCH_BYTES + u32_at(bytes, at + 12) as usize;
        at = repair_records(bytes, at + BATCH_BYTES, end, start);
    }
}

fn repair_records(bytes: &mut [u8], mut at: usize, end: usize, start: u32) -> usize {
    while at < end && at + 8 <= bytes.len() {
        let Some(body) = bytes.get(at + 8..at + 8 + u32_at(bytes, at) as usize) else {
            break;
        };
        let mut hasher = crc32fast::Hasher::new_with_initial(start);
        hasher.update(body);
        let length = body.len();
        bytes[at + 4..at + 8].copy_from_slice(&hasher.finalize().to_le_bytes());
        at += 8 + length;
    }
    end.max(at + 1).min(bytes.len())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn settings() -> Settings {
    Settings {
        segment_bytes: 4096,
        max_dead_bytes: 4096,
        remembered: 5,
        ..Settings::default()
    }
}

fn submission() -> Submission<'static> {
    Submission {
        id: "another",
        user: User::Own,
        is_generated: false,
        payload: [1, 2],
        source: SourceKind::Stdin,
        line: b"{}",
    }
}

fn now() -> Now {
    Now {
        mono: Instant::from_nanos(5_000_000_000),
        wall: Wall::from_unix_seconds(1_700_000_000),
    }
}
