//! The binary `couponry-history`; the library `history` does the work.

fn main() -> std::process::ExitCode {
    history::main()
}
