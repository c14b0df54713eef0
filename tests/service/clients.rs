//! Clients in Python, in TypeScript and in Java, generated from the server's own `/openapi.json`, above what `clients/` has for
//! repeats: each compiles, and passes the five minutes of the README. Then sample shops, whose server is killed.
//!
//! The files in `tests/service/clients` pin the generators, which are downloaded once. The scripts there know the
//! paths, operation ids and fields of the description, and none of its schema names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testengines::Engine;

use super::data::{COUPONRY, Data};
use super::downloads::{node_modules, python_with, spring_shop_jar};
use super::finished::{doctor_finds_nothing, serve};

const REQUIREMENTS: &str = include_str!("clients/python/requirements.txt");
const PYTHON: [(&str, &str); 4] = [
    ("retries.py", include_str!("clients/python/retries.py")),
    ("couponry_retries.py", include_str!("../../clients/python/couponry_retries.py")),
    ("config.yaml", include_str!("clients/python/config.yaml")),
    ("five_minutes.py", include_str!("clients/python/five_minutes.py")),
];

/// Clients and samples of the repository.
const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients");

const EXPRESS_PACKAGE: &str = include_str!("../../clients/samples/express/package.json");
const EXPRESS_LOCK: &str = include_str!("../../clients/samples/express/package-lock.json");
const EXPRESS: [(&str, &str); 4] = [
    ("shop.ts", include_str!("../../clients/samples/express/shop.ts")),
    ("retrying.ts", include_str!("../../clients/typescript/retrying.ts")),
    ("package.json", EXPRESS_PACKAGE),
    ("tsconfig.json", include_str!("../../clients/samples/express/tsconfig.json")),
];

/// What the sample shop with FastAPI needs.
const SHOP_REQUIREMENTS: &str = include_str!("../../clients/samples/fastapi/requirements.txt");

const PACKAGE: &str = include_str!("clients/typescript/package.json");
const LOCK: &str = include_str!("clients/typescript/package-lock.json");
const TYPESCRIPT: [(&str, &str); 5] = [
    ("retries.ts", include_str!("clients/typescript/retries.ts")),
    ("retrying.ts", include_str!("../../clients/typescript/retrying.ts")),
    ("package.json", PACKAGE),
    ("tsconfig.json", include_str!("clients/typescript/tsconfig.json")),
    ("five_minutes.ts", include_str!("clients/typescript/five_minutes.ts")),
];

/// What generates the client in Java, and runs it.
const JAVA: [(&str, &str); 3] = [
    ("pom.xml", include_str!("clients/java/pom.xml")),
    ("source/FiveMinutes.java", include_str!("clients/java/FiveMinutes.java")),
    (
        "source/couponry/RetryingHttpClient.java",
        include_str!("../../clients/java/couponry/RetryingHttpClient.java"),
    ),
];

/// Starts a server, writes its description and `files` into the test's folder, and runs each program of
/// `calls` there with the words of its line. Each has to exit with 0.
fn passes(data: &Data, files: &[(&str, &str)], calls: &[(&Path, &str)]) {
    let server = serve(data);
    let token = data.token("admin", "root");
    let description = server.client(&token).get("/openapi.json").must(200);
    fs::write(data.folder().join("openapi.json"), description.body).expect("the description");
    for (name, text) in files {
        let path = data.folder().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file of the client");
    }
    for (program, call) in calls {
        let mut command = Command::new(program);
        command.args(call.split_whitespace()).current_dir(data.folder()).stdin(Stdio::null());
        command.env("COUPONRY", format!("http://{}", server.address)).env("TOKEN", &token);
        // The server is on this machine.
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        let ran = data.run_command(command);
        assert_eq!(ran.code, Some(0), "{call}: {}{}", ran.stdout, ran.stderr);
    }
    doctor_finds_nothing(data, "generated client");
    server.stop();
}

#[test]
fn python_client() {
    let find = || python_with("python-client", REQUIREMENTS);
    let Some(python) = Engine::CLIENTS.found("generated clients", find) else { return };
    // A warning says what the generator left out of the client.
    let calls = [
        "-m openapi_python_client generate --path openapi.json --config config.yaml --meta none \
         --output-path couponry_client --fail-on-warning",
        "five_minutes.py",
        "retries.py",
    ];
    passes(&Data::new(), &PYTHON, &calls.map(|call| (python.as_path(), call)));
}

/// A sample shop, so many of whose customers pay while the server is killed again and again. `command` starts the shop
/// in `folder`.
fn shop(python: &Path, folder: &Path, command: &[&str], orders: usize) {
    let clients = Path::new(CLIENTS);
    let mut test = Command::new(python);
    test.arg(clients.join("samples/test_shop.py")).arg(folder).args(command);
    test.env("ORDERS", orders.to_string())
        .env("COUPONRY_PROGRAM", COUPONRY)
        .env("PYTHONPATH", clients.join("python"));
    test.env("PYTHONDONTWRITEBYTECODE", "1").env("NO_PROXY", "*").env("no_proxy", "*");
    let ran = Data::new().run_command(test);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    eprint!("{}", ran.stdout);
}

/// What tries a sample shop, and runs the one with FastAPI.
fn shop_python() -> Result<PathBuf, String> {
    python_with("fastapi-shop", SHOP_REQUIREMENTS)
}

#[test]
fn python_shop() {
    let Some(python) = Engine::CLIENTS.found("sample shops", shop_python) else { return };
    let folder = Path::new(CLIENTS).join("samples/fastapi");
    shop(&python, &folder, &[&python.display().to_string(), "shop.py"], 200);
}

#[test]
fn express_shop() {
    let find =
        || Ok((shop_python()?, node_modules("express-shop", EXPRESS_PACKAGE, EXPRESS_LOCK)?));
    let Some((python, modules)) = Engine::CLIENTS.found("sample shops", find) else { return };
    let data = Data::new();
    symlink(modules, data.folder().join("node_modules")).expect("a link to the packages");
    for (name, text) in EXPRESS {
        fs::write(data.folder().join(name), text).expect("a file of the shop");
    }
    let mut compile = Command::new("node");
    compile.args(["node_modules/typescript/bin/tsc", "--project", "."]).current_dir(data.folder());
    let compiled = data.run_command(compile);
    assert_eq!(compiled.code, Some(0), "{}{}", compiled.stdout, compiled.stderr);
    shop(&python, data.folder(), &["node", "built/shop.js"], 60);
}

/// With Spring Boot, above the client in Java.
#[test]
fn spring_shop() {
    let find = || Ok((shop_python()?, spring_shop_jar(Path::new(CLIENTS))?));
    let Some((python, jar)) = Engine::CLIENTS.found("sample shops", find) else { return };
    let memory = ["-XX:+UseSerialGC", "-Xmx256m", "-XX:TieredStopAtLevel=1"];
    let jar = jar.display().to_string();
    let command = [&["java"], &memory[..], &["-jar", &jar]].concat();
    shop(&python, Data::new().folder(), &command, 60);
}

#[test]
fn typescript_client() {
    let find = || node_modules("typescript-client", PACKAGE, LOCK);
    let Some(modules) = Engine::CLIENTS.found("generated clients", find) else { return };
    let data = Data::new();
    symlink(modules, data.folder().join("node_modules")).expect("a link to the packages");
    // The compiler writes no file if it finds an error.
    let calls = [
        "node_modules/openapi-typescript/bin/cli.js openapi.json --output couponry.ts",
        "node_modules/typescript/bin/tsc --project .",
        "built/five_minutes.js",
        "built/retries.js",
    ];
    passes(&data, &TYPESCRIPT, &calls.map(|call| (Path::new("node"), call)));
}

#[test]
fn java_client() {
    let data = Data::new();
    let mut maven = Command::new("mvn");
    maven.arg("--version").stdout(Stdio::null());
    let find = || maven.status().map_err(|error| error.to_string());
    if Engine::CLIENTS.found("generated clients", find).is_none() {
        return;
    }
    let calls = [
        (Path::new("mvn"), "--batch-mode --quiet --no-transfer-progress compile"),
        (Path::new("java"), "-cp target/classes:libraries/* FiveMinutes"),
    ];
    passes(&data, &JAVA, &calls);
}
