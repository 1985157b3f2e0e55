//! The program of the sidecar and of its init container; everything is in the library.

/// jemalloc gives memory back after a burst, and musl's own allocator is slow; its settings are compiled in, see `.cargo/config.toml`.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    tulle_proxy::main()
}
