//! The header of a WebSocket frame (RFC 6455, section 5.2): what is needed to find its end and to take its mask off.

/// Bit 7 of the length: the frame is masked. The text has clients mask, and servers not.
pub const MASKED: u8 = 0x80;
/// As long as a mask is.
const MASK_BYTES: usize = 4;

/// How long a frame's header is and what follows it, once that can be said. A mask belongs to the header.
pub fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    let second = *bytes.get(1)?;
    let mask = if second & MASKED == 0 { 0 } else { MASK_BYTES };
    let (header, length) = match second & !MASKED {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((header + mask, length))
}

/// What a client's frame holds.
pub fn unmasked(frame: &[u8]) -> Option<Vec<u8>> {
    let (header, length) = extent(frame)?;
    let mask = frame.get(header.checked_sub(MASK_BYTES)?..header)?;
    let payload = frame.get(header..header + length)?;
    Some(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
}
