//! Finds libdcf, or builds it, and says how to link it; README.md has the order.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const NOTHING: &str = "no libdcf: set DCF_LIB_DIR to the folder of libdcf.so, or put dcf.pc \
                       (`make install-lib`) where pkg-config looks, or use the feature `bundled`, \
                       which builds it with Go";

fn main() {
    for name in ["DOCS_RS", "DCF_LIB_DIR", "DCF_BINDINGS", "DCF_CLANG_ARGS"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    bindings();
    if env::var_os("DOCS_RS").is_some() {
        return;
    }
    let bundled = env::var_os("CARGO_FEATURE_BUNDLED").is_some();
    let result = if let Some(folder) = env::var_os("DCF_LIB_DIR") {
        link_shared(Path::new(&folder), "DCF_LIB_DIR")
    } else if let Some(folder) = installed() {
        link_shared(&folder, "dcf.pc")
    } else if bundled {
        bundle()
    } else {
        Err(NOTHING.to_string())
    };
    if let Err(message) = result {
        // Not a panic: cargo shows a build script's output, and this line is all there is to say.
        eprintln!("dcf-sys: {message}");
        exit(1);
    }
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"))
}

/// Where libdcf is installed, by pkg-config.
fn installed() -> Option<PathBuf> {
    let library = pkg_config::Config::new()
        .atleast_version(env!("CARGO_PKG_VERSION"))
        .cargo_metadata(false)
        .probe("dcf")
        .ok()?;
    library.link_paths.into_iter().find(|folder| folder.join("libdcf.so").exists())
}

/// Links libdcf.so of a folder. `cargo run` and `cargo test` put OUT_DIR where the loader looks, so
/// links in it make both find the library wherever it lies.
fn link_shared(folder: &Path, from: &str) -> Result<(), String> {
    let missing =
        |error| format!("{from} is {}, which has no libdcf.so: {error}", folder.display());
    let folder = folder.canonicalize().map_err(missing)?;
    let library = folder.join("libdcf.so").canonicalize().map_err(missing)?;
    println!("cargo::rerun-if-changed={}", library.display());
    let entries = std::fs::read_dir(&folder).map_err(missing)?.flatten();
    for name in entries.map(|entry| entry.file_name()) {
        if name.to_string_lossy().starts_with("libdcf.so") {
            let link = out_dir().join(&name);
            let _ = std::fs::remove_file(&link); // of an earlier build
            std::os::unix::fs::symlink(folder.join(&name), &link)
                .map_err(|error| format!("{}: {error}", link.display()))?;
        }
    }
    println!("cargo::rustc-link-search=native={}", out_dir().display());
    println!("cargo::rustc-link-lib=dylib=dcf");
    println!("cargo::metadata=libdir={}", folder.display());
    Ok(())
}

/// Builds libdcf from the sources beside this file: links into the checkout, or files in a package.
fn bundle() -> Result<(), String> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let module = manifest.join("libdcf/go.mod").canonicalize();
    let module = module.map_err(|error| format!("the sources of libdcf are missing: {error}"))?;
    let root = module.parent().expect("a file has a folder");
    for part in ["go.mod", "go.sum", "capi", "core", "udf", "vertex", "wire", "include"] {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
    }
    let go = env::var_os("GO").unwrap_or_else(|| "go".into());
    println!("cargo::rerun-if-env-changed=GO");
    println!("cargo::rerun-if-env-changed=PATH");
    let archive = out_dir().join("libdcf.a");
    let version = format!("-s -w -X main.version={}", env!("CARGO_PKG_VERSION"));
    let build = Command::new(go)
        .current_dir(root)
        .args(["build", "-trimpath", "-buildvcs=false", "-buildmode=c-archive", "-ldflags"])
        .args([&version, "-o"])
        .arg(&archive)
        .arg("./capi")
        .env("CGO_ENABLED", "1")
        .output()
        .map_err(|error| {
            format!(
                "the feature `bundled` builds libdcf with Go, which is not here ({error}): install \
                 Go, or set DCF_LIB_DIR to the folder of libdcf.so"
            )
        })?;
    if !build.status.success() {
        let said = String::from_utf8_lossy(&build.stderr);
        return Err(format!("go build ./capi failed:\n{said}"));
    }
    println!("cargo::rustc-link-search=native={}", out_dir().display());
    // Whole: parts of it are found by weak references only, which ask for nothing.
    println!("cargo::rustc-link-lib=static:+whole-archive,-bundle=dcf");
    Ok(())
}

#[cfg(not(feature = "bindgen"))]
fn bindings() {}

/// Writes the bindings to OUT_DIR, and to the file that DCF_BINDINGS names.
#[cfg(feature = "bindgen")]
fn bindings() {
    let header = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("libdcf/include/dcf.h");
    println!("cargo::rerun-if-changed={}", header.display());
    let made = bindgen::Builder::default()
        .header(header.to_str().expect("a path in UTF-8"))
        .clang_args(env::var("DCF_CLANG_ARGS").iter().flat_map(|args| args.split_whitespace()))
        .allowlist_item("(dcf|DCF|Arrow|ARROW)_?.*")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .raw_line("// Made of dcf.h by `make generate`: do not edit.")
        .disable_header_comment()
        .derive_default(false)
        .generate_comments(false)
        .merge_extern_blocks(true)
        .use_core()
        .rust_edition(bindgen::RustEdition::Edition2024)
        .formatter(bindgen::Formatter::Rustfmt)
        .rustfmt_configuration_file(None)
        .generate();
    let made = made.unwrap_or_else(|error| {
        eprintln!("dcf-sys: the bindings of {}: {error}", header.display());
        exit(1);
    });
    let mut files = vec![out_dir().join("bindings.rs")];
    files.extend(env::var_os("DCF_BINDINGS").map(PathBuf::from));
    for file in files {
        made.write_to_file(&file).unwrap_or_else(|error| {
            eprintln!("dcf-sys: {}: {error}", file.display());
            exit(1);
        });
    }
}
