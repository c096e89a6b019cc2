//! Messages as servers send them, as broken ones do, and as forgers would.

use super::*;

const ID: u16 = 0x1234;
const V4: Question<'static> = Question {
    name: "hooks.example.com",
    family: Family::V4,
};
const V6: Question<'static> = Question {
    name: "hooks.example.com",
    family: Family::V6,
};
/// A pointer to the question's name.
const ASKED: &[u8] = &[0xc0, 12];

/// What is done to a good message, and what to call it.
type Spoilt = (&'static str, fn(&mut Vec<u8>));

/// A response under construction.
struct Message(Vec<u8>);

impl Message {
    fn to(question: Question<'_>, rcode: u8) -> Message {
        let mut bytes = Vec::new();
        encode(ID, question, false, &mut bytes).unwrap();
        bytes[2] = 0x81;
        bytes[3] = 0x80 | rcode;
        Message(bytes)
    }

    fn truncated(mut self) -> Message {
        self.0[2] |= 0x02;
        self
    }

    fn record(
        mut self,
        count_at: usize,
        owner: &[u8],
        kind: u16,
        ttl: u32,
        data: &[u8],
    ) -> Message {
        self.0[count_at] += 1;
        self.0.extend_from_slice(owner);
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&CLASS_IN.to_be_bytes());
        self.0.extend_from_slice(&ttl.to_be_bytes());
        self.0
            .extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        self.0.extend_from_slice(data);
        self
    }

    fn answer(self, owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Message {
        self.record(7, owner, kind, ttl, data)
    }

    fn soa(self, ttl: u32, minimum: u32) -> Message {
        let mut data = name("ns.example.com");
        data.extend(name("root.example.com"));
        data.extend([0; 16]);
        data.extend(minimum.to_be_bytes());
        self.record(9, &name("example.com"), TYPE_SOA, ttl, &data)
    }
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn addresses(addrs: &[&str], seconds: u64) -> Result<Answer, DecodeError> {
    Ok(Answer::Addresses {
        addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
        ttl: Duration::from_secs(seconds),
    })
}

fn no_data(seconds: u64) -> Result<Answer, DecodeError> {
    Ok(Answer::NoData {
        ttl: Duration::from_secs(seconds),
    })
}

fn no_such_name(seconds: u64) -> Result<Answer, DecodeError> {
    Ok(Answer::NoSuchName {
        ttl: Duration::from_secs(seconds),
    })
}

#[test]
fn a_query_is_written_as_rfc_1035_says() {
    let mut bytes = Vec::new();
    encode(ID, Question { name: "a.bc", ..V6 }, false, &mut bytes).unwrap();
    assert_eq!(
        bytes,
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x02bc\0\0\x1c\0\x01"
    );
    bytes.clear();
    encode(ID, Question { name: "a", ..V4 }, true, &mut bytes).unwrap();
    assert_eq!(
        bytes,
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0"
    );
}

#[test]
fn names_that_do_not_fit_a_message_are_refused() {
    let label = "x".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", &label[..61]);
    let table = [
        (longest.clone(), true),
        (longest + "x", false),
        ("x".repeat(64), false),
        (String::new(), false),
        (".".to_owned(), false),
        ("a..b".to_owned(), false),
        ("a.".to_owned(), false),
        ("_a-b.c".to_owned(), true),
    ];
    for (name, fine) in table {
        let mut bytes = Vec::new();
        let question = Question { name: &name, ..V4 };
        assert_eq!(
            encode(ID, question, true, &mut bytes).is_ok(),
            fine,
            "{name}"
        );
        assert_eq!(bytes.is_empty(), !fine, "{name}");
        if fine {
            bytes[2] |= 0x80;
            assert_eq!(decode(&bytes, ID, question), no_data(0), "{name}");
        }
    }
}

#[test]
fn addresses_come_in_the_order_of_the_message_each_once() {
    let message = Message::to(V4, 0)
        .answer(ASKED, TYPE_A, 300, &[192, 0, 2, 9])
        .answer(ASKED, TYPE_A, 60, &[192, 0, 2, 1])
        .answer(ASKED, TYPE_A, 300, &[192, 0, 2, 9])
        .answer(ASKED, TYPE_AAAA, 1, &[0; 16]);
    assert_eq!(
        decode(&message.0, ID, V4),
        addresses(&["192.0.2.9", "192.0.2.1"], 60)
    );
    let mut six = [0; 16];
    six[..2].copy_from_slice(&[0x20, 0x01]);
    let message = Message::to(V6, 0).answer(ASKED, TYPE_AAAA, 7, &six);
    assert_eq!(decode(&message.0, ID, V6), addresses(&["2001::"], 7));
}

#[test]
fn no_more_addresses_than_the_limit_are_taken() {
    let mut message = Message::to(V4, 0);
    for n in 0..=u8::try_from(ADDRESSES_MAX).unwrap() {
        message = message.answer(ASKED, TYPE_A, 300, &[192, 0, 2, n]);
    }
    let Ok(Answer::Addresses { addrs, .. }) = decode(&message.0, ID, V4) else {
        panic!("expected addresses")
    };
    assert_eq!(addrs.len(), ADDRESSES_MAX);
}

#[test]
fn f68_f70_absence_lives_as_long_as_the_soa_record_says() {
    let table = [
        (Message::to(V4, 0), no_data(0)),
        (Message::to(V4, 0).soa(900, 30), no_data(30)),
        (Message::to(V4, 0).soa(20, 30), no_data(20)),
        (Message::to(V4, 3), no_such_name(0)),
        (Message::to(V4, 3).soa(900, 300), no_such_name(300)),
        (
            // An alias that leads nowhere is not believed for longer than itself.
            Message::to(V4, 3)
                .answer(ASKED, TYPE_CNAME, 5, &name("gone.example.net"))
                .soa(900, 300),
            no_such_name(5),
        ),
        (
            Message::to(V4, 0)
                .answer(ASKED, TYPE_CNAME, 5, &name("empty.example.net"))
                .soa(900, 300),
            no_data(5),
        ),
    ];
    for (n, (message, expected)) in table.into_iter().enumerate() {
        assert_eq!(decode(&message.0, ID, V4), expected, "{n}");
    }
}

#[test]
fn f69_f76_codes_that_say_the_server_does_not_know() {
    let table = [
        (1, Answer::FormatError),
        (2, Answer::ServerFailure(2)),
        (4, Answer::NotImplemented),
        (5, Answer::ServerFailure(5)),
        (9, Answer::ServerFailure(9)),
    ];
    for (rcode, expected) in table {
        let mut message = Message::to(V4, rcode).0;
        assert_eq!(decode(&message, ID, V4), Ok(expected.clone()));
        // The bare header, as servers send it that could not read the query.
        message.truncate(HEADER_BYTES);
        message[5] = 0;
        assert_eq!(decode(&message, ID, V4), Ok(expected), "{rcode}");
    }
    for rcode in [0, 3] {
        let mut message = Message::to(V4, rcode).0;
        message.truncate(HEADER_BYTES);
        message[5] = 0;
        assert_eq!(decode(&message, ID, V4), Err(DecodeError::NotOurs));
    }
}

#[test]
fn f71_a_cut_answer_has_to_be_asked_for_again_whatever_is_in_it() {
    let whole = Message::to(V4, 0)
        .answer(ASKED, TYPE_A, 300, &[192, 0, 2, 1])
        .answer(ASKED, TYPE_A, 300, &[192, 0, 2, 2])
        .truncated();
    for bytes in [0, 1, 16, 17] {
        let message = &whole.0[..whole.0.len() - bytes];
        assert_eq!(decode(message, ID, V4), Ok(Answer::Truncated), "{bytes}");
    }
    assert_eq!(
        decode(&Message::to(V4, 0).truncated().0, ID, V4),
        Ok(Answer::Truncated)
    );
    assert_eq!(
        decode(&Message::to(V4, 3).truncated().0, ID, V4),
        no_such_name(0)
    );
}

#[test]
fn f72_what_answers_another_question_is_not_ours() {
    let good = || {
        Message::to(V4, 0)
            .answer(ASKED, TYPE_A, 300, &[192, 0, 2, 1])
            .0
    };
    assert_eq!(decode(&good(), ID, V4), addresses(&["192.0.2.1"], 300));
    let spoilt: [Spoilt; 8] = [
        ("id", |m| m[1] ^= 1),
        ("query", |m| m[2] &= 0x7f),
        ("opcode", |m| m[2] |= 0x28),
        ("no question", |m| m[5] = 0),
        ("two questions", |m| m[5] = 2),
        ("name", |m| m[13] = b'x'),
        ("type", |m| m[12 + 19 + 1] = 28),
        ("class", |m| m[12 + 19 + 3] = 3),
    ];
    for (what, spoil) in spoilt {
        let mut message = good();
        spoil(&mut message);
        assert_eq!(
            decode(&message, ID, V4),
            Err(DecodeError::NotOurs),
            "{what}"
        );
    }
    for asked in [
        "example.com",
        "x.hooks.example.com",
        "hooks.example.co",
        "hooks.example.comm",
    ] {
        let question = Question { name: asked, ..V4 };
        assert_eq!(
            decode(&good(), ID, question),
            Err(DecodeError::NotOurs),
            "{asked}"
        );
    }
}

#[test]
fn f72_addresses_of_strangers_do_not_count() {
    let message = Message::to(V4, 0)
        .answer(&name("evil.example.com"), TYPE_A, 300, &[192, 0, 2, 1])
        .answer(&name("x.hooks.example.com"), TYPE_A, 300, &[192, 0, 2, 2]);
    assert_eq!(decode(&message.0, ID, V4), no_data(0));
}

#[test]
fn f73_case_does_not_matter() {
    let mut message = Message::to(V4, 0)
        .answer(
            &name("HOOKS.example.COM"),
            TYPE_CNAME,
            9,
            &name("Edge.Example.net"),
        )
        .answer(&name("eDGE.example.NET"), TYPE_A, 300, &[192, 0, 2, 1]);
    message.0[13..18].make_ascii_uppercase();
    assert_eq!(decode(&message.0, ID, V4), addresses(&["192.0.2.1"], 9));
    let shouted = Question {
        name: "HOOKS.Example.com",
        ..V4
    };
    assert_eq!(
        decode(&message.0, ID, shouted),
        addresses(&["192.0.2.1"], 9)
    );
}

/// hooks.example.com -> n1.x -> … -> n`links`.x, which has an address; last record first.
fn chain_of(links: usize) -> Message {
    let mut message = Message::to(V4, 0);
    let owner = |n: usize| match n {
        0 => ASKED.to_vec(),
        n => name(&format!("n{n}.x")),
    };
    message = message.answer(&owner(links), TYPE_A, 300, &[192, 0, 2, 1]);
    for n in (0..links).rev() {
        let ttl = 100 + u32::try_from(n).unwrap();
        message = message.answer(&owner(n), TYPE_CNAME, ttl, &owner(n + 1));
    }
    message
}

#[test]
fn f74_f123_aliases_are_followed_in_any_order_over_sixteen_links() {
    assert_eq!(CHAIN_LINKS_MAX, 16);
    assert_eq!(
        decode(&chain_of(0).0, ID, V4),
        addresses(&["192.0.2.1"], 300)
    );
    for links in 1..=CHAIN_LINKS_MAX {
        assert_eq!(
            decode(&chain_of(links).0, ID, V4),
            addresses(&["192.0.2.1"], 100),
            "{links}"
        );
    }
    assert_eq!(
        decode(&chain_of(CHAIN_LINKS_MAX + 1).0, ID, V4),
        Ok(Answer::AliasChain)
    );
    let circle = Message::to(V4, 0)
        .answer(ASKED, TYPE_CNAME, 9, &name("a.x"))
        .answer(&name("a.x"), TYPE_CNAME, 9, ASKED);
    assert_eq!(decode(&circle.0, ID, V4), Ok(Answer::AliasChain));
    let itself = Message::to(V4, 0).answer(ASKED, TYPE_CNAME, 9, ASKED);
    assert_eq!(decode(&itself.0, ID, V4), Ok(Answer::AliasChain));
}

#[test]
fn f75_names_that_loop_or_lie_are_malformed() {
    let start = u8::try_from(Message::to(V4, 0).0.len()).unwrap();
    let owners: [(&str, Vec<u8>); 7] = [
        ("to itself", vec![0xc0, start]),
        ("forward", vec![0xc0, start + 2]),
        ("through a label to itself", vec![1, b'a', 0xc0, start]),
        ("into the header", vec![0xc0, 2]),
        ("far beyond the end", vec![0xff, 0xff]),
        ("label of 64", [&[64][..], &[b'a'; 64], &[0]].concat()),
        ("extended label", vec![0x81, 0]),
    ];
    for (what, owner) in owners {
        let message = Message::to(V4, 0).answer(&owner, TYPE_A, 300, &[192, 0, 2, 1]);
        assert_eq!(
            decode(&message.0, ID, V4),
            Err(DecodeError::Malformed),
            "{what}"
        );
    }
    // 255 bytes are reached over pointers: each record's owner is a label and the owner before it.
    let mut message = Message::to(V4, 0);
    let mut before = 12_u16;
    for _ in 0..4 {
        let here = u16::try_from(message.0.len()).unwrap();
        let mut owner = vec![63];
        owner.extend([b'h'; 63]);
        owner.extend((0xc000 | before).to_be_bytes());
        message = message.answer(&owner, TYPE_A, 300, &[192, 0, 2, 1]);
        before = here;
    }
    let alias = (0xc000 | before).to_be_bytes();
    let message =
        message
            .answer(ASKED, TYPE_CNAME, 300, &alias)
            .answer(&alias, TYPE_A, 300, &[192, 0, 2, 1]);
    assert_eq!(decode(&message.0, ID, V4), Err(DecodeError::Malformed));
}

#[test]
fn f75_a_ladder_of_pointers_is_not_climbed_for_ever() {
    // Pointer to pointer to pointer …, each backwards: legal one by one.
    let mut ladder = ASKED.to_vec();
    let base = Message::to(V4, 0).0.len() + 2 + 10;
    for step in 0..100 {
        let target = u16::try_from(base + 2 * step).unwrap();
        ladder.extend((0xc000 | target).to_be_bytes());
    }
    let top = u16::try_from(base + ladder.len() - 2).unwrap();
    let message = Message::to(V4, 0).answer(ASKED, 16, 300, &ladder).answer(
        &(0xc000 | top).to_be_bytes(),
        TYPE_A,
        300,
        &[192, 0, 2, 1],
    );
    assert_eq!(decode(&message.0, ID, V4), Err(DecodeError::Malformed));
}

#[test]
fn f75_lengths_and_counts_that_lie_are_malformed() {
    let good = || {
        Message::to(V4, 0)
            .answer(ASKED, TYPE_CNAME, 9, &name("edge.example.net"))
            .answer(&name("edge.example.net"), TYPE_A, 300, &[192, 0, 2, 1])
            .0
    };
    let end = good().len();
    // Cut anywhere.
    for at in 0..end {
        assert_eq!(
            decode(&good()[..at], ID, V4),
            Err(DecodeError::Malformed),
            "{at}"
        );
    }
    let spoilt: [Spoilt; 4] = [
        ("more answers than there are", |m| m[7] = 3),
        ("RDLENGTH beyond the end", |m| {
            let at = m.len() - 5;
            m[at] = 5;
        }),
        ("an address of 3 bytes", |m| {
            let at = m.len() - 5;
            m[at] = 3;
        }),
        ("an address of 5 bytes", |m| {
            let at = m.len() - 5;
            m[at] = 5;
            m.push(0);
        }),
    ];
    for (what, spoil) in spoilt {
        let mut message = good();
        spoil(&mut message);
        assert_eq!(
            decode(&message, ID, V4),
            Err(DecodeError::Malformed),
            "{what}"
        );
    }
    let mut authority = Message::to(V4, 0).0;
    authority[9] = 1;
    assert_eq!(decode(&authority, ID, V4), Err(DecodeError::Malformed));
    let empty_soa = Message::to(V4, 0).record(9, &[0], TYPE_SOA, 9, &[0, 0]);
    assert_eq!(decode(&empty_soa.0, ID, V4), Err(DecodeError::Malformed));
}

#[test]
fn f75_any_two_bytes_changed_never_panic() {
    let good = Message::to(V4, 0)
        .answer(ASKED, TYPE_CNAME, 9, &name("edge.example.net"))
        .answer(&[0xc0, 47], TYPE_A, 300, &[192, 0, 2, 1])
        .soa(900, 300);
    let mut decoded = 0_u32;
    for at in 0..good.0.len() {
        for value in [0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff] {
            for second in [0, 1, 12, 0xff] {
                let mut message = good.0.clone();
                message[at] = value;
                if let Some(next) = message.get_mut(at + 1) {
                    *next = second;
                }
                decoded += u32::from(decode(&message, ID, V4).is_ok());
            }
        }
    }
    assert!(decoded > 0, "some changes leave an answer");
}

#[test]
fn f79_f80_lifetimes_of_zero_and_with_the_top_bit() {
    for (ttl, seconds) in [
        (0, 0),
        (1, 1),
        (0x7fff_ffff, 0x7fff_ffff),
        (0x8000_0000, 0),
        (0xffff_ffff, 0),
    ] {
        let message = Message::to(V4, 0).answer(ASKED, TYPE_A, ttl, &[192, 0, 2, 1]);
        assert_eq!(
            decode(&message.0, ID, V4),
            addresses(&["192.0.2.1"], seconds)
        );
    }
}

#[test]
fn records_of_another_class_do_not_count() {
    let mut message = Message::to(V4, 0).answer(ASKED, TYPE_A, 300, &[192, 0, 2, 1]);
    let class_at = message.0.len() - 4 - 2 - 4 - 1;
    message.0[class_at] = 3;
    assert_eq!(decode(&message.0, ID, V4), no_data(0));
}
