//! DNS over TCP: each message stands behind its length in two bytes (RFC 1035 section 4.2.2).
//!
//! Not here: what the messages say (`dns`).

/// The first message of a stream, as its bytes come in; what follows it is dropped.
#[derive(Clone, Debug, Default)]
pub struct FirstMessage {
    /// The length and what has come of the message: at most 2 + 65,535 bytes.
    bytes: Vec<u8>,
}

const PREFIX_BYTES: usize = 2;

/// Puts the length in front of a message.
///
/// # Panics
/// If the message has more than 65,535 bytes; a query has at most some 300.
pub fn frame(message: &mut Vec<u8>) {
    let length = u16::try_from(message.len()).expect("a query is short");
    message.splice(..0, length.to_be_bytes());
}

impl FirstMessage {
    /// Takes what came, however it was cut; gives the message once it is whole.
    pub fn push(&mut self, mut bytes: &[u8]) -> Option<&[u8]> {
        while !bytes.is_empty() && self.missing() > 0 {
            let (taken, rest) = bytes.split_at(bytes.len().min(self.missing()));
            self.bytes.extend_from_slice(taken);
            bytes = rest;
        }
        (self.missing() == 0).then(|| &self.bytes[PREFIX_BYTES..])
    }

    /// How many bytes are still to come, as far as is known: first those of the length, then the message's.
    fn missing(&self) -> usize {
        match self.bytes.first_chunk() {
            None => PREFIX_BYTES - self.bytes.len(),
            Some(length) => {
                PREFIX_BYTES + usize::from(u16::from_be_bytes(*length)) - self.bytes.len()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f71_a_message_is_whole_however_its_bytes_are_cut() {
        let mut stream = b"question".to_vec();
        frame(&mut stream);
        assert_eq!(stream, b"\x00\x08question");
        stream.extend(b"\x00\x04more");
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let mut message = FirstMessage::default();
                let mut whole = None;
                let parts = [&stream[..first], &stream[first..second], &stream[second..]];
                let mut come = 0;
                for part in parts {
                    come += part.len();
                    whole = message.push(part).map(<[u8]>::to_vec);
                    assert_eq!(whole.is_some(), come >= 10, "{first} {second}");
                }
                assert_eq!(whole.as_deref(), Some(&b"question"[..]));
                assert_eq!(message.bytes.len(), 10, "what follows is not kept");
            }
        }
    }

    #[test]
    fn f71_an_empty_message_and_the_longest_are_messages() {
        assert_eq!(FirstMessage::default().push(&[0, 0]), Some(&[][..]));
        let mut message = FirstMessage::default();
        assert_eq!(message.push(&[0xff, 0xff]), None);
        assert_eq!(message.push(&[7; 65_534]), None);
        assert_eq!(message.push(&[7; 9]).map(<[u8]>::len), Some(65_535));
    }
}
