//! Tells a JPEG file that was cut short. Decoders fill the missing rows with grey and say
//! nothing. The segments are walked as in ITU-T T.81, annex B.

/// Whether the end-of-image marker is there, after at least one scan.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    const START_OF_SCAN: u8 = 0xDA;
    let mut at = 2;
    let mut scans = 0;
    loop {
        // Inside a scan, FF 00 is a plain FF and FF D0…D7 restarts; any other marker ends it.
        let in_scan = scans > 0;
        let Some(found) = bytes.get(at..).and_then(|rest| {
            rest.windows(2).position(|w| {
                w[0] == 0xFF
                    && !matches!(w[1], 0x00 | 0xFF)
                    && !(in_scan && (0xD0..=0xD7).contains(&w[1]))
            })
        }) else {
            return false;
        };
        let marker = bytes.get(at + found + 1).copied().unwrap_or_default();
        at += found + 2;
        match marker {
            END_OF_IMAGE => return scans > 0,
            // Markers without a length.
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        if marker == START_OF_SCAN {
            scans += 1;
        }
        let Some(&[high, low]) = bytes.get(at..at + 2) else {
            return false;
        };
        at += usize::from(u16::from_be_bytes([high, low]));
    }
}
