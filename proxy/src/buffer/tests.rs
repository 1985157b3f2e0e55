use super::*;

#[test]
fn bytes_go_in_at_the_end_and_out_at_the_front() {
    let mut buffer = Buffer::new();
    buffer.extend(b"hello ");
    buffer.extend(b"world");
    buffer.consume(6);
    assert_eq!(buffer.filled(), b"world");
    buffer.filled_mut()[0] = b'W';
    assert_eq!((buffer.filled(), buffer.len()), (&b"World"[..], 5));
    buffer.consume(5);
    assert!(buffer.is_empty());
}

#[test]
fn a_block_grows_without_losing_bytes() {
    let mut buffer = Buffer::new();
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    for chunk in bytes.chunks(777) {
        buffer.extend(chunk);
    }
    assert_eq!(buffer.filled(), bytes);
}

#[test]
fn room_is_made_by_tidying_before_growing() {
    let mut buffer = Buffer::new();
    buffer.extend(&[1; 4000]);
    buffer.consume(3990);
    buffer.extend(&[2; 1000]);
    assert_eq!(buffer.block.len(), CLASSES[0]);
    assert_eq!(buffer.filled()[..10], [1; 10]);
    assert_eq!(buffer.len(), 1010);
}

#[test]
fn a_released_block_is_the_next_one_taken() {
    let mut buffer = Buffer::new();
    buffer.extend(b"x");
    let block = buffer.block.as_ptr();
    buffer.release();
    assert_eq!(buffer.block.as_ptr(), block, "bytes keep their block");
    buffer.consume(1);
    buffer.release();
    assert_eq!(buffer.block.capacity(), 0);
    let mut next = Buffer::new();
    next.extend(b"y");
    assert_eq!(next.block.as_ptr(), block);
}

#[test]
fn few_free_blocks_are_kept() {
    let buffers: Vec<Buffer> = (0..100)
        .map(|_| {
            let mut buffer = Buffer::new();
            buffer.space(LARGEST);
            buffer
        })
        .collect();
    drop(buffers);
    assert_eq!(FREE.with(|free| free.borrow()[2].len()), KEPT_BYTES / LARGEST);
}
