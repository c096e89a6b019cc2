//! DNS answers from any bytes: never a panic, never an address that was not asked for; and over TCP the same first
//! message however the bytes are cut.

use conduit::wire::dns::framing::FirstMessage;
use conduit::wire::dns::{ADDRESSES_MAX, Answer, Family, Question, decode, encode};

const NAME: &str = "hooks.example.com";

/// Panics if the promise does not hold for this input.
pub fn check(data: &[u8]) {
    for family in [Family::V4, Family::V6] {
        let question = Question { name: NAME, family };
        let mut query = Vec::new();
        encode(0x1234, question, false, &mut query).expect("a fine name");
        // As it comes, and behind the header and question that make it ours.
        let mut ours = query.clone();
        ours.splice(2..4, [0x81, data.first().copied().unwrap_or(0x80)]);
        ours[7] = data.get(1).copied().unwrap_or(1);
        ours[9] = data.get(2).copied().unwrap_or(0);
        ours.extend_from_slice(data.get(3..).unwrap_or_default());
        for message in [data, &ours] {
            if let Ok(Answer::Addresses { addrs, .. }) = decode(message, 0x1234, question) {
                assert!((1..=ADDRESSES_MAX).contains(&addrs.len()));
                assert!(
                    addrs
                        .iter()
                        .all(|addr| addr.is_ipv4() == (family == Family::V4))
                );
            }
        }
    }
    let whole = FirstMessage::default().push(data).map(<[u8]>::to_vec);
    let cut = data.first().map_or(0, |byte| usize::from(*byte)) % (data.len() + 1);
    let mut message = FirstMessage::default();
    let early = message.push(&data[..cut]).map(<[u8]>::to_vec);
    assert_eq!(message.push(&data[cut..]).map(<[u8]>::to_vec), whole);
    assert!(early.is_none() || early == whole);
}
