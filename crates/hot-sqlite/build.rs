//! Compiles the VFS that writes the log in one piece.

fn main() {
    println!("cargo::rerun-if-changed=src/wal_vfs.c");
    let headers = std::env::var("DEP_SQLITE3_INCLUDE").expect("libsqlite3-sys is bundled");
    let mut build = cc::Build::new();
    build.file("src/wal_vfs.c").include(headers).cargo_metadata(false).compile("couponry_wal_vfs");
    // Whole: nothing refers to it, it registers itself.
    println!("cargo::rustc-link-search=native={}", std::env::var("OUT_DIR").expect("by cargo"));
    println!("cargo::rustc-link-lib=static:+whole-archive=couponry_wal_vfs");
}
