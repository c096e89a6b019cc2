//! URLs from any text: never a panic, and what is accepted is plain.

use std::net::IpAddr;

use conduit::wire::url::{Host, Url};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains(['\r', '\n']));
            return;
        }
    };
    assert!(text.is_ascii() && url.port > 0);
    assert!(url.target.starts_with('/') && !url.target.contains(['#', ' ', '\r', '\n']));
    let origin = url.to_origin();
    let mut key = String::new();
    url.write_origin(&mut key);
    assert_eq!(key, &*origin.text);
    // The key names the same origin again: jobs of one origin never stand in two queues.
    let again = Url::parse(&key).expect("an origin is a URL").to_origin();
    assert_eq!(again, origin);
    match &origin.host {
        Host::Ip(_) => {}
        Host::Name(name) => {
            assert!((1..=253).contains(&name.len()) && !name.ends_with('.'));
            assert!(name.parse::<IpAddr>().is_err());
            assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
        }
    }
}
