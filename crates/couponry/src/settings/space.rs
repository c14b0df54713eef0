//! Spaces: stores of several brands beside the main one, each with its own folder, keys, archive and settings file.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::str::FromStr;

use super::space_name::SpaceName;
use super::stores::{Cold, Hot};
use super::{SETTINGS_FILE, SettingFlags, Settings, read};
use crate::failure::{CliError, Result};

/// The folder of the spaces, in the data folder and in the archive of the main store.
pub(crate) const SPACES: &str = "spaces";

/// Most spaces of one process: each has threads and memory of its own, some 3 MB at rest, and page caches when it is used.
const SPACES_MAX: usize = 32;

const HOSTS_MAX: usize = 256;

/// The spaces that `serve` serves, each with the hosts that lead to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpaceHosts(pub(crate) BTreeMap<SpaceName, Vec<String>>);

impl FromStr for SpaceHosts {
    type Err = String;

    /// Parses `NAME=HOST,NAME=HOST`; a name may have several hosts, a host one name.
    fn from_str(text: &str) -> Result<SpaceHosts, String> {
        let mut found = SpaceHosts::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (name, host) = entry
                .split_once('=')
                .ok_or_else(|| format!("{entry:?} is no space, want NAME=HOST"))?;
            let host = host.trim().to_ascii_lowercase();
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
            if host.is_empty() || !host.bytes().all(fits) {
                return Err(format!("{host:?} is no host: want a name without a port"));
            }
            if found.0.values().flatten().any(|other| *other == host) {
                return Err(format!("it names the host {host} twice"));
            }
            found.0.entry(name.trim().parse()?).or_default().push(host);
        }
        let (spaces, hosts) = (found.0.len(), found.0.values().flatten().count());
        if spaces > SPACES_MAX || hosts > HOSTS_MAX {
            return Err(format!(
                "it has {spaces} spaces and {hosts} hosts, want at most {SPACES_MAX} and {HOSTS_MAX}"
            ));
        }
        Ok(found)
    }
}

impl Settings {
    /// The main settings without what would let something of one space into another, then the settings file in the
    /// folder of the space.
    ///
    /// # Errors
    /// Usage: a settings file that cannot be read, or that sets what belongs to the whole machine.
    pub(crate) fn of_space(&self, name: &SpaceName) -> Result<Settings> {
        let folder = self.data.value.join(SPACES).join(name.as_str());
        let (path, file) = read(&folder.join(SETTINGS_FILE), true)?;
        let mut space = self.placed_in(name)?;
        if let Some(key) = file.of_machine() {
            return Err(CliError::usage(format!(
                "{} sets {key}, which belongs to the whole machine: set it in the main settings file",
                path.display()
            )));
        }
        space.overlay(file, &path)?;
        space.login_is_whole()?;
        Ok(space)
    }

    /// The spaces whose stores are in the data folder, whether they are served or not.
    pub(crate) fn spaces_there(&self) -> Vec<SpaceName> {
        let entries =
            std::fs::read_dir(self.data.value.join(SPACES)).into_iter().flatten().flatten();
        let has_store = |entry: &DirEntry| entry.path().join(hot_sqlite::FILE_NAME).is_file();
        let names =
            entries.filter(has_store).filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<SpaceName> = names.filter_map(|name| name.parse().ok()).collect();
        names.sort();
        names
    }

    /// What a space has without a settings file of its own.
    pub(crate) fn placed_in(&self, name: &SpaceName) -> Result<Settings> {
        let folder = self.data.value.join(SPACES).join(name.as_str());
        let mut space = self.clone();
        let own = Settings::merged(&SettingFlags::default(), SettingFlags::default(), &folder)?;
        // What only its own file may set: pages of another brand, and people whose roles were given for another.
        space.cors_origins = own.cors_origins;
        space.requests_per_s = own.requests_per_s;
        space.store_max_mib = own.store_max_mib;
        space.console_client = own.console_client;
        space.console_client_secret = own.console_client_secret;
        space.console_history = own.console_history;
        // A token for one space must not be one for another.
        let audience = self.identity_audience.value.as_ref();
        space.identity_audience.value = audience.map(|main| format!("{main}/{name}"));
        space.cold.value = match &self.cold.value {
            Cold::Folder(main) if *main == self.data.value.join("cold") => {
                Cold::Folder(folder.join("cold"))
            }
            Cold::Folder(main) => Cold::Folder(main.join(SPACES).join(name.as_str())),
            Cold::Bucket(main) => {
                let within = format!("{main}/{SPACES}/{name}");
                Cold::Bucket(within.parse().map_err(|why| self.cold.unusable(why))?)
            }
        };
        space.hot.value = match &self.hot.value {
            Hot::Sqlite => Hot::Sqlite,
            Hot::Cql(main) => {
                let beside = format!("{main}_{name}");
                Hot::Cql(beside.parse().map_err(|why| self.hot.unusable(why))?)
            }
        };
        space.data.value = folder;
        space.space.value = Some(name.clone());
        Ok(space)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Origin;
    use super::*;

    fn main(flags: SettingFlags) -> Settings {
        Settings::merged(&flags, SettingFlags::default(), Path::new("none")).expect("settings")
    }

    fn name(text: &str) -> SpaceName {
        text.parse().expect("a name")
    }

    #[test]
    fn hosts() {
        let cases = [
            ("none", "", Some(vec![])),
            ("one", "acme=Acme.example", Some(vec![("acme", vec!["acme.example"])])),
            (
                "two hosts",
                "acme=a.example, acme=b.example,b2=c",
                Some(vec![("acme", vec!["a.example", "b.example"]), ("b2", vec!["c"])]),
            ),
            ("a host of two", "acme=a.example,b2=A.example", None),
            ("no host", "acme", None),
            ("an empty host", "acme=", None),
            ("a port", "acme=a.example:80", None),
            ("a path in a name", "../acme=a.example", None),
            ("a capital", "Acme=a.example", None),
            ("a digit first", "1a=a.example", None),
            ("a long name", "a2345678901234567890123456=a.example", None),
        ];
        for (case, text, want) in cases {
            let found = text.parse::<SpaceHosts>().ok();
            let want = want.map(|want| {
                let entry = |(space, hosts): (&str, Vec<&str>)| {
                    (name(space), hosts.into_iter().map(str::to_owned).collect())
                };
                SpaceHosts(want.into_iter().map(entry).collect())
            });
            assert_eq!(found, want, "{case}");
        }
        let many: Vec<String> = (0..=SPACES_MAX).map(|nth| format!("s{nth}=h{nth}")).collect();
        assert!(many.join(",").parse::<SpaceHosts>().is_err());
    }

    #[test]
    fn where_a_space_is() {
        let on = |hot: Option<&str>, cold: Option<&str>| {
            let text = |it: Option<&str>| it.map(str::to_owned);
            let data = Some("/d".into());
            main(SettingFlags { data, hot: text(hot), cold: text(cold), ..SettingFlags::default() })
        };
        let cases = [
            (None, None, "sqlite", "/d/spaces/acme/cold"),
            (None, Some("/c"), "sqlite", "/c/spaces/acme"),
            (None, Some("s3://bucket/p"), "sqlite", "s3://bucket/p/spaces/acme"),
            (Some("cql://a/shop"), None, "cql://a:9042/shop_acme", "/d/spaces/acme/cold"),
        ];
        for (hot, cold, want_hot, want_cold) in cases {
            let space = on(hot, cold).of_space(&name("acme")).expect("a space");
            let found = (space.hot.value.to_string(), space.cold.value.to_string());
            assert_eq!(found, (want_hot.to_owned(), want_cold.to_owned()));
            assert_eq!(space.data.value, Path::new("/d/spaces/acme"));
        }
    }

    #[test]
    fn what_a_space_inherits() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let text = |it: &str| Some(it.to_owned());
        let main = main(SettingFlags {
            data: Some(folder.path().to_owned()),
            cors_origins: text("https://main.example"),
            console_client: text("console"),
            identity_issuer: text("https://id.example"),
            identity_audience: text("coupons"),
            sign_up: text("off"),
            requests_per_s: Some(9),
            ..SettingFlags::default()
        });
        let space = main.of_space(&name("acme")).expect("a space");
        assert_eq!(space.sign_up.value, "off", "what concerns nobody else is inherited");
        assert_eq!(space.cors_origins.value, "");
        assert_eq!(space.console_client.value, None);
        assert_eq!(space.requests_per_s.value, 0);
        assert_eq!(space.identity_audience.value.as_deref(), Some("coupons/acme"));

        let own = folder.path().join("spaces/acme");
        std::fs::create_dir_all(&own).expect("a folder");
        let file = own.join("couponry.toml");
        let cases = [
            ("its own", "requests_per_s = 50\ncors_origins = \"https://acme.example\"", true),
            ("of the machine", "listen = \"0.0.0.0:80\"", false),
            ("another store", "hot = \"cql://a/b\"", false),
            ("unknown", "colour = \"red\"", false),
        ];
        for (case, text, is_fine) in cases {
            std::fs::write(&file, text).expect("a file");
            let space = main.of_space(&name("acme"));
            assert_eq!(space.is_ok(), is_fine, "{case}: {space:?}");
            if let Ok(space) = space {
                assert_eq!(space.requests_per_s.value, 50);
                assert_eq!(space.requests_per_s.origin, Origin::File(file.clone()));
                assert_eq!(space.cors_origins.value, "https://acme.example");
            }
        }
    }
}
