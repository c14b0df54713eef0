//! Packages of PyPI, npm and Maven for the suites that run them: the only place that downloads them. Each
//! version is downloaded once, into the cache of `.ci/run`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder that `.ci/run` builds in, or a temporary one if that folder cannot be made.
fn cache() -> PathBuf {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let of_user = || named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|it| it.join(".cache")));
    let wanted = named("COUPONRY_CI_CACHE").or_else(|| of_user().map(|it| it.join("couponry-ci")));
    let usable = wanted.filter(|folder| fs::create_dir_all(folder).is_ok());
    usable.unwrap_or_else(|| std::env::temp_dir().join("couponry-ci"))
}

/// Runs a command that must succeed. The error is what it wrote to standard error.
fn done(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// The folder in the cache for `lock`, the text that pins every package. `download` fills it once;
/// other callers, also in other processes, wait for it.
///
/// # Errors
/// Why the folder could not be made, for the output of the test.
fn downloaded(
    suite: &str,
    lock: &str,
    download: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let sum = lock.bytes().fold(0_u64, |sum, it| sum.rotate_left(5) ^ u64::from(it));
    let (cache, name) = (cache(), format!("{suite}-{sum:016x}"));
    let folder = cache.join(&name);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let only = cache.join(format!("{name}.lock"));
    let cannot = |error: std::io::Error| format!("{}: {error}", only.display());
    let only = File::create(&only).map_err(cannot)?;
    only.lock().map_err(cannot)?;
    let ready = folder.join("ready");
    if !ready.exists() {
        eprintln!("{suite}: installing into {}", folder.display());
        download(&folder)?;
        write(&ready, "")?;
    }
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// An interpreter with exactly these packages of PyPI, in a virtual environment of its own.
///
/// # Errors
/// As [`downloaded`].
pub(super) fn python_with(suite: &str, requirements: &str) -> Result<PathBuf, String> {
    let folder = downloaded(suite, requirements, |folder| {
        done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
        let wanted = folder.join("requirements.txt");
        write(&wanted, requirements)?;
        let pip = ["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "-r"];
        done(Command::new(folder.join("bin/python")).args(pip).arg(&wanted))
    })?;
    Ok(folder.join("bin/python"))
}

/// A `node_modules` with exactly the npm packages of this `package-lock.json`.
///
/// # Errors
/// As [`downloaded`], and if there is no `node`.
pub(super) fn node_modules(suite: &str, package: &str, lock: &str) -> Result<PathBuf, String> {
    done(Command::new("node").arg("--version"))?;
    let folder = downloaded(suite, &[package, lock].concat(), |folder| {
        write(&folder.join("package.json"), package)?;
        write(&folder.join("package-lock.json"), lock)?;
        let npm = ["ci", "--include=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
        done(Command::new("npm").args(npm).current_dir(folder))
    })?;
    Ok(folder.join("node_modules"))
}

/// The program of the sample shop with Spring Boot, which Maven builds of `clients`.
///
/// # Errors
/// As [`downloaded`], and if there is no `mvn`.
pub(super) fn spring_shop_jar(clients: &Path) -> Result<PathBuf, String> {
    const SOURCES: [&str; 6] = [
        "java/couponry/RetryingHttpClient.java",
        "samples/spring/pom.xml",
        "samples/spring/src/main/java/shop/Shop.java",
        "samples/spring/src/main/java/shop/Signatures.java",
        "samples/spring/src/main/resources/application.properties",
        "samples/spring/src/test/java/couponry/RetryingHttpClientTest.java",
    ];
    let read = |name: &&str| {
        fs::read_to_string(clients.join(name)).map_err(|error| format!("{name}: {error}"))
    };
    let texts = SOURCES.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let folder = downloaded("spring-shop", &texts.concat(), |folder| {
        for (name, text) in SOURCES.iter().zip(&texts) {
            let path = folder.join(name);
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.map_err(|error| format!("{}: {error}", path.display()))?;
            write(&path, text)?;
        }
        let maven = ["--batch-mode", "--quiet", "--no-transfer-progress", "package"];
        done(Command::new("mvn").args(maven).current_dir(folder.join("samples/spring")))
    })?;
    Ok(folder.join("samples/spring/target/shop-1.jar"))
}
