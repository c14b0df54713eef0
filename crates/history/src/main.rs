//! couponry-history; see the library beside it.

fn main() -> std::process::ExitCode {
    history::main()
}
