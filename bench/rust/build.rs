//! Links what bench.mk built: the clock and the client of bench/c, and the floors.

fn main() {
    let root = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    println!(
        "cargo::rustc-link-search=native={}",
        root.join("build/bench").display()
    );
    println!(
        "cargo::rerun-if-changed={}",
        root.join("build/bench/libdcfbench.a").display()
    );
    println!("cargo::rustc-link-lib=static=dcfbench");
    println!("cargo::rustc-link-lib=dylib=dcffloors");
    println!("cargo::rustc-link-arg-bins=-Wl,-rpath,$ORIGIN:$ORIGIN/../lib");
}
