//! GPT-2's way of writing bytes as printable characters.

/// The character that stands for each byte: printable Latin-1 characters stand for themselves, the others follow from U+0100 in the order of bytes.
pub(super) fn characters() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        match byte {
            b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => {
                next += 1;
                char::from_u32(next - 1).expect("U+0100 to U+0143 are characters")
            }
        }
    })
}

/// Bytes that a token written in this alphabet stands for; none if another character occurs.
pub(super) fn bytes(token: &str, characters: &[char; 256]) -> Option<Box<[u8]>> {
    token.chars().map(|c| characters.iter().position(|x| *x == c).map(|i| i as u8)).collect()
}
