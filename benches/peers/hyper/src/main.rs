//! A webhook sender on hyper and tokio that does conduit's plain work: NDJSON jobs in, POSTs out over
//! kept-alive connections (at most 50 an origin), NDJSON results out. To be measured beside conduit.
//!
//! Written for speed with the field's usual means: one runtime on one thread; a task for each connection,
//! which takes jobs from its origin's queue; no task and no lock for a job; the body is a slice of the chunk
//! that was read; results leave in large writes. The only second thread reads stdin, as conduit's does.
//!
//! It leaves out what is not measured: retries, signing, TLS, host names (addresses only).

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc};

const CONNECTIONS_MAX: usize = 50;
const READ_AHEAD_JOBS: usize = 1024;
const CHUNK_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);
const FLUSH_AFTER: Duration = Duration::from_millis(5);

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const ACCEPTED_TIMESTAMP: HeaderName = HeaderName::from_static("x-webhook-timestamp");
const AGENT: HeaderValue = HeaderValue::from_static("Conduit-LLM/1.0");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

type Error = Box<dyn std::error::Error>;
type Sender = SendRequest<Full<Bytes>>;

/// A job as its line has it.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// A job as it waits at its origin.
struct Job {
    id: HeaderValue,
    line: u64,
    target: Uri,
    body: Bytes,
    accepted: Instant,
    accepted_seconds: u64,
}

struct Origin {
    name: String,
    addr: SocketAddr,
    host: HeaderValue,
    queue: RefCell<VecDeque<Job>>,
    /// Wakes connections that wait for a job.
    arrived: Notify,
    connections: Cell<usize>,
    /// Connections that wait for a job and have not been woken for one.
    idle: Cell<usize>,
}

struct House {
    origins: RefCell<HashMap<String, Rc<Origin>>>,
    /// A permit for each job between its line and its result.
    read_ahead: Semaphore,
    results: RefCell<Vec<u8>>,
    results_waiting: Notify,
    undelivered: Cell<u64>,
    seconds: Cell<(u64, HeaderValue)>,
}

fn main() -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let house = Rc::new(House {
        origins: RefCell::default(),
        read_ahead: Semaphore::new(READ_AHEAD_JOBS),
        results: RefCell::default(),
        results_waiting: Notify::new(),
        undelivered: Cell::new(0),
        seconds: Cell::new((0, HeaderValue::from(0))),
    });
    tokio::task::LocalSet::new().block_on(&runtime, deliver_all(Rc::clone(&house)))?;
    match house.undelivered.get() {
        0 => Ok(()),
        count => Err(format!("{count} jobs were not delivered").into()),
    }
}

async fn deliver_all(house: Rc<House>) -> Result<(), Error> {
    tokio::task::spawn_local(flush_results(Rc::clone(&house)));
    let (to_loop, mut chunks) = mpsc::channel(4);
    let reader = std::thread::spawn(move || read_chunks(&to_loop));
    let mut line_number = 0;
    while let Some(chunk) = chunks.recv().await {
        let text = std::str::from_utf8(&chunk)?;
        for line in text.lines() {
            line_number += 1;
            house.read_ahead.acquire().await?.forget();
            take(&house, &chunk, line, line_number)?;
        }
    }
    reader.join().map_err(|_| "the reader panicked")??;
    let all = house
        .read_ahead
        .acquire_many(READ_AHEAD_JOBS as u32)
        .await?;
    drop(all);
    write_results(&house)?;
    Ok(())
}

/// Hands on what stdin holds, cut at line ends.
fn read_chunks(to_loop: &mpsc::Sender<Bytes>) -> std::io::Result<()> {
    let mut stdin = std::io::stdin().lock();
    let mut carry = Vec::new();
    loop {
        let mut chunk = std::mem::take(&mut carry);
        let start = chunk.len();
        chunk.resize(start + CHUNK_BYTES, 0);
        let read = stdin.read(&mut chunk[start..])?;
        chunk.truncate(start + read);
        if read > 0 {
            let Some(end) = chunk.iter().rposition(|byte| *byte == b'\n') else {
                carry = chunk;
                continue;
            };
            carry.extend_from_slice(&chunk[end + 1..]);
            chunk.truncate(end + 1);
        }
        if to_loop.blocking_send(Bytes::from(chunk)).is_err() || read == 0 {
            return Ok(());
        }
    }
}

/// Queues a job at its origin, and sees to it that a connection will take it.
fn take(house: &Rc<House>, chunk: &Bytes, line: &str, number: u64) -> Result<(), Error> {
    let job: Line<'_> = serde_json::from_str(line)?;
    let uri: Uri = job.url.parse()?;
    let authority = uri.authority().ok_or("no authority")?.as_str();
    let origin = match house.origins.borrow().get(authority) {
        Some(origin) => Rc::clone(origin),
        None => new_origin(authority)?,
    };
    if origin.connections.get() == 0 {
        let mut origins = house.origins.borrow_mut();
        origins.insert(authority.to_owned(), Rc::clone(&origin));
    }
    let target = match uri.path_and_query() {
        Some(target) => target.clone(),
        None => PathAndQuery::from_static("/"),
    };
    origin.queue.borrow_mut().push_back(Job {
        id: HeaderValue::from_str(&job.id)?,
        line: number,
        target: Uri::from(target),
        body: chunk.slice_ref(job.payload.get().as_bytes()),
        accepted: Instant::now(),
        accepted_seconds: unix_seconds(),
    });
    if origin.idle.get() > 0 {
        origin.idle.set(origin.idle.get() - 1);
        origin.arrived.notify_one();
    } else if origin.connections.get() < CONNECTIONS_MAX {
        origin.connections.set(origin.connections.get() + 1);
        tokio::task::spawn_local(serve(Rc::clone(house), origin));
    }
    Ok(())
}

fn new_origin(authority: &str) -> Result<Rc<Origin>, Error> {
    Ok(Rc::new(Origin {
        name: format!("http://{authority}"),
        addr: authority.parse()?,
        host: HeaderValue::from_str(authority)?,
        queue: RefCell::default(),
        arrived: Notify::new(),
        connections: Cell::new(0),
        idle: Cell::new(0),
    }))
}

/// One connection: takes jobs for as long as the process lives, and connects anew when it must.
async fn serve(house: Rc<House>, origin: Rc<Origin>) {
    let mut sender = None;
    loop {
        let next = origin.queue.borrow_mut().pop_front();
        let Some(job) = next else {
            origin.idle.set(origin.idle.get() + 1);
            origin.arrived.notified().await;
            continue;
        };
        let exchange = exchange(&house, &origin, &mut sender, &job);
        let answer = match tokio::time::timeout(TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err("timeout".into()),
        };
        if answer.is_err() {
            sender = None;
        }
        report(&house, &origin, &job, answer);
        house.read_ahead.add_permits(1);
    }
}

/// Sends the request and reads the answer to its end; gives the status.
async fn exchange(
    house: &House,
    origin: &Origin,
    sender: &mut Option<Sender>,
    job: &Job,
) -> Result<u16, Error> {
    let is_open = match sender {
        Some(open) => open.ready().await.is_ok(),
        None => false,
    };
    if !is_open {
        *sender = None;
    }
    let sender = match sender {
        Some(open) => open,
        none => none.insert(connect(origin.addr).await?),
    };
    let mut request = Request::new(Full::new(job.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = job.target.clone();
    let headers = request.headers_mut();
    headers.reserve(8);
    headers.insert(HOST, origin.host.clone());
    headers.insert(USER_AGENT, AGENT);
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(WEBHOOK_ID, job.id.clone());
    headers.insert(WEBHOOK_TIMESTAMP, timestamp(house, unix_seconds()));
    headers.insert(ACCEPTED_TIMESTAMP, timestamp(house, job.accepted_seconds));
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(status)
}

async fn connect(addr: SocketAddr) -> Result<Sender, Error> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
    // What ends a connection is seen by the exchange on it.
    tokio::task::spawn_local(connection);
    Ok(sender)
}

/// A header value for this second; the last one made is kept, for they are nearly always the same.
fn timestamp(house: &House, seconds: u64) -> HeaderValue {
    let (kept_seconds, kept) = house.seconds.replace((0, HeaderValue::from(0)));
    let value = if kept_seconds == seconds {
        kept
    } else {
        HeaderValue::from(seconds)
    };
    house.seconds.set((seconds, value.clone()));
    value
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Adds the result line.
fn report(house: &House, origin: &Origin, job: &Job, answer: Result<u16, Error>) {
    let mut results = house.results.borrow_mut();
    if results.is_empty() {
        house.results_waiting.notify_one();
    }
    let id = serde_json::to_string(job.id.to_str().unwrap_or_default()).unwrap_or_default();
    let millis = job.accepted.elapsed().as_secs_f64() * 1e3;
    let outcome = match &answer {
        Ok(200..=299) => "delivered",
        Ok(_) => "rejected",
        Err(_) => "exhausted",
    };
    if outcome != "delivered" {
        house.undelivered.set(house.undelivered.get() + 1);
    }
    let written = write!(
        results,
        "{{\"id\":{id},\"line\":{},\"outcome\":\"{outcome}\",\"status\":{},\"attempts\":1,\
         \"durationMs\":{millis:.3},\"origin\":\"{}\"",
        job.line,
        answer.as_ref().unwrap_or(&0),
        origin.name
    );
    written.expect("a Vec takes all");
    if let Err(error) = answer {
        let message = serde_json::to_string(&error.to_string()).unwrap_or_default();
        write!(results, ",\"error\":{{\"message\":{message}}}").expect("a Vec takes all");
    }
    results.extend_from_slice(b"}\n");
    let is_full = results.len() >= CHUNK_BYTES;
    drop(results);
    if is_full {
        write_results(house).expect("stdout takes the results");
    }
}

/// Writes results that have waited for a little while.
async fn flush_results(house: Rc<House>) {
    loop {
        house.results_waiting.notified().await;
        tokio::time::sleep(FLUSH_AFTER).await;
        write_results(&house).expect("stdout takes the results");
    }
}

fn write_results(house: &House) -> std::io::Result<()> {
    let mut results = house.results.borrow_mut();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&results)?;
    results.clear();
    stdout.flush()
}
