//! The binary `couponry-kafka`; the library `kafka` does the work.

fn main() -> std::process::ExitCode {
    kafka::main()
}
