use super::*;

const SMAPS: &str = "\
7f0000000000-7f0000001000 r--p 00000000 fe:00 12 /tulle-proxy
Rss:                   4 kB
Anonymous:             0 kB
7f0000001000-7f0000003000 r-xp 00001000 fe:00 12 /tulle-proxy
Anonymous:             0 kB
VmFlags: rd ex mr mw me
7f0000003000-7f0000004000 r--p 00003000 fe:00 12 /tulle-proxy
Anonymous:             4 kB
7f0000004000-7f0000005000 rw-p 00004000 fe:00 12 /tulle-proxy
Anonymous:             0 kB
7f0000005000-7f0000006000 r-xp 00000000 fe:00 13 /other
Anonymous:             0 kB
7f0000006000-7f0000007000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
7f0000007000-7f0000008000 rw-p 00000000 00:00 0
Anonymous:             0 kB
";

#[test]
fn only_clean_mappings_of_the_program_are_dropped() {
    let clean = clean_mappings(SMAPS, "/tulle-proxy");
    assert_eq!(clean, [0x7f00_0000_0000..0x7f00_0000_1000, 0x7f00_0000_1000..0x7f00_0000_3000]);
}

#[test]
fn the_program_goes_on_after_its_pages_were_dropped() {
    release_start_up();
    // Code and constants are read again from the file, from other threads as well.
    let text = std::thread::spawn(|| format!("{:?}", [1.5, 2.5])).join().expect("it runs");
    assert_eq!(text, "[1.5, 2.5]");
}
