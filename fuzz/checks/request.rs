//! Request heads: what is written is what another parser reads, and one message only.

use conduit::wire::job::Method;
use conduit::wire::request::{Head, check_field};

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == b'\n').map(std::str::from_utf8);
    let mut next = || parts.next().and_then(Result::ok).unwrap_or_default();
    let (name, value, kind) = (next(), next(), next());
    let has_field = check_field(name, value).is_ok();
    let fields = if has_field {
        format!("{name}: {value}\r\n")
    } else {
        String::new()
    };
    // The endpoint's own stands behind the job's, and in place of none of them.
    let endpoint_fields = format!("{fields}X-Endpoint: yes\r\n");
    let kind = check_field("type", kind).is_ok().then_some(kind);
    let methods = [
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Get,
    ];
    let method = methods[data.len() % methods.len()];
    let head = Head {
        method,
        target: "/hook?x=1",
        authority: "example.com:8080",
        user_agent: Some("Conduit-LLM/1.0"),
        content_type: Some("application/json"),
        content_length: method.content_length(Some(data.len() as u64)),
        id: "job-1",
        timestamp: 1_700_000_000,
        accepted: data.len() as u64,
        kind,
        signature: None,
        fields: fields.as_bytes(),
        endpoint_fields: endpoint_fields.as_bytes(),
    };
    let mut written = Vec::new();
    head.write_to(&mut written);
    assert_eq!(written.len(), head.len());
    let mut room = vec![0; written.len() + 7];
    assert_eq!(head.write_before(&mut room), Some(7));
    assert_eq!(room[7..], written);
    assert_eq!(head.write_before(&mut room[..written.len() - 1]), None);
    read_back(&written, method, has_field.then_some((name, value)));
}

/// Exactly the fields that were asked for, in a head that is complete and ends where it should.
fn read_back(written: &[u8], method: Method, extra: Option<(&str, &str)>) {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request
        .parse(written)
        .expect("a head that we write is right");
    assert_eq!(parsed, httparse::Status::Complete(written.len()));
    assert_eq!(
        (request.method, request.path),
        (Some(method.name()), Some("/hook?x=1"))
    );
    let framing = ["content-length", "transfer-encoding", "host", "connection"];
    for name in framing {
        let times = request
            .headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        let expected = usize::from(name == "content-length" || name == "host");
        assert_eq!(times.count(), expected, "{name}");
    }
    let times = |name: &str, value: &str| {
        let is_it =
            |field: &&httparse::Header<'_>| field.name == name && field.value == value.as_bytes();
        request.headers.iter().filter(is_it).count()
    };
    if let Some((name, value)) = extra {
        // A job may name what conduit would have said itself.
        assert!(times(name, value) >= 1);
        let is_own = ["user-agent", "content-type"].contains(&&*name.to_lowercase());
        assert!(is_own || times(name, value) == 1, "{name}");
    }
    let is_replaced = extra.is_some_and(|(name, _)| name.eq_ignore_ascii_case("X-Endpoint"));
    assert!(is_replaced || times("X-Endpoint", "yes") == 1);
}
