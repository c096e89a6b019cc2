//! All sources together: what was given, what of it holds, and all that is wrong, at once.
//!
//!   built in < file's top level < file's `defaults` < environment < flag       in general
//!   general < shorter pattern < longer pattern < the origin's own entry        for an endpoint
//!
//! Files that a value names are read here too, so that what is loaded can be followed as it is.
//!
//! Not here: how the sources are written (`file`, `environment`, `flags`), what the settings mean (`table`).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use conduit::wire::endpoints::Endpoints;
use conduit::wire::signature::Secrets;
use conduit::wire::url::{Origin, Url};

use crate::config::source::{Given, Problem, Said, Source};
use crate::config::table::Setting;
use crate::config::{Listen, Settings, environment, file};
use crate::io::log::quoted;
use crate::io::tls::{self, Identity, IdentityError, Roots};

/// Bytes of a file with secrets.
const SECRETS_BYTES_MAX: usize = 64 << 10;

/// Bytes of a file with a client certificate, or with its key.
const IDENTITY_BYTES_MAX: usize = 1 << 20;

/// Others than the file's owner and group may read it.
const OTHERS_READ: u32 = 0o004;

/// Where settings come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The command line's.
    pub flags: Vec<(&'static Setting, OsString)>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// `--config`.
    pub file: Option<PathBuf>,
}

/// What the sources say, whole and checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Who said what.
    pub values: Values,
    /// Who is trusted.
    pub roots: Arc<Roots>,
    /// What is no mistake, but should be known: one line each.
    pub warnings: Vec<String>,
}

/// Who said what.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// In general.
    pub general: Said,
    /// For origins and patterns of them.
    pub endpoints: Endpoints<Said>,
}

impl Sources {
    /// Reads all of them.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn load(&self) -> Result<Loaded, Vec<Problem>> {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let contents = match &self.file {
            Some(path) => read_config(path, &mut problems, &mut warnings),
            None => file::Contents::default(),
        };
        let mut general = contents.general;
        let from_environment = environment::read(&self.environment, &mut problems, &mut warnings);
        general.append(from_environment);
        general.append(self.said_by_flags(&mut problems));
        let values = Values {
            general,
            endpoints: contents.endpoints,
        };
        let mut loader = Loader {
            problems,
            warnings,
            secrets: BTreeMap::new(),
            identities: BTreeMap::new(),
            roots: Arc::default(),
        };
        let settings = loader.settle(&values, &contents.astray);
        loader.warnings.extend(cramped(&settings));
        match loader.problems.is_empty() {
            true => Ok(Loaded {
                settings,
                values,
                roots: loader.roots,
                warnings: loader.warnings,
            }),
            false => Err(loader.problems),
        }
    }

    /// Where a conduit listens that was told the same: what asks it whether it is well must not depend on all else that
    /// they say. What another source goes before is not read.
    ///
    /// # Errors
    /// It can't be told.
    pub fn listen(&self) -> Result<Listen, Problem> {
        let setting = Setting::named("listen").expect("it stands in the table");
        let mut settings = Settings::default();
        if let Some(given) = self.value_of(setting)? {
            put_all(&mut settings, &[given]);
        }
        Ok(settings.listen)
    }

    fn value_of(&self, setting: &'static Setting) -> Result<Option<Given>, Problem> {
        let typed = self.flags.iter().find(|(known, _)| *known == setting);
        if let Some((_, text)) = typed {
            return given_by_flag(setting, text).map(Some);
        }
        if let Some(given) = environment::read_one(&self.environment, setting)? {
            return Ok(Some(given));
        }
        let Some(path) = &self.file else {
            return Ok(None);
        };
        let (bytes, _) =
            read_file(path, file::FILE_BYTES_MAX).map_err(|why| no_config(path, &why))?;
        file::read_one(&file_name(path), &bytes, setting.name)
    }

    fn said_by_flags(&self, problems: &mut Vec<Problem>) -> Said {
        let mut said = Said::default();
        for (setting, text) in &self.flags {
            match given_by_flag(setting, text) {
                Ok(given) => said.given.push(given),
                Err(problem) => {
                    said.refused.push(setting);
                    problems.push(problem);
                }
            }
        }
        said
    }
}

impl Values {
    /// What holds in general for a setting, if anybody said something.
    #[must_use]
    pub fn general(&self, setting: &Setting) -> Option<&Given> {
        self.general.last(setting.name)
    }

    /// Who says what holds for an endpoint's setting: the key of the entry, none in general, and the value. Nobody
    /// where something more specific has taken its place.
    pub fn holding<'a>(
        &'a self,
        setting: &Setting,
        entries: impl Iterator<Item = (&'a str, &'a Said)>,
    ) -> Option<(Option<&'a str>, &'a Given)> {
        let entries = entries.map(|(key, said)| (Some(key), said));
        let mut all = entries.chain([(None, &self.general)]);
        let counts = |given: &&Given| {
            let name = given.setting.name;
            name == setting.name || Some(name) == setting.rival()
        };
        let (key, given) =
            all.find_map(|(key, said)| Some((key, said.given.iter().rev().find(counts)?)))?;
        (given.setting == setting).then_some((key, given))
    }

    /// The keys whose entries hold for what stands under `key`, the most specific first, with the entries.
    pub fn chain(&self, key: &str) -> Vec<(&str, &Said)> {
        let origin = sample(key);
        // Of the patterns' own keys the origin is but an example, which may have an entry of its own.
        self.endpoints
            .matching(&origin)
            .filter(|(other, _)| *other == key || other.contains('*'))
            .collect()
    }
}

/// Reads the files that values name, once each.
struct Loader {
    problems: Vec<Problem>,
    warnings: Vec<String>,
    /// By file; of one that is wrong nothing.
    secrets: BTreeMap<PathBuf, Secrets>,
    /// By the files of certificate and key; likewise.
    identities: BTreeMap<(PathBuf, PathBuf), Identity>,
    /// Of `caFile`.
    roots: Arc<Roots>,
}

impl Loader {
    /// The settings, if nothing is wrong; what is said `astray` can only be wrong.
    fn settle(&mut self, values: &Values, astray: &[Said]) -> Settings {
        let mut settings = Settings::default();
        put_all(&mut settings, &values.general.given);
        self.check_together(&settings, &values.general);
        self.read_files(&values.general);
        for (_, said) in values.endpoints.iter() {
            self.read_files(said);
        }
        for said in astray {
            self.read_files(said);
        }
        let general = settings.clone();
        let mut entries = Endpoints::default();
        self.follow_files(&mut settings);
        for (key, _) in values.endpoints.iter() {
            let mut own = general.clone();
            for (_, said) in values.chain(key).iter().rev() {
                put_all(&mut own, &said.given);
            }
            self.follow_files(&mut own);
            let inserted = entries.insert(key, own.of_endpoint());
            inserted.expect("a key that was taken is taken again");
        }
        settings.endpoints = Arc::new(entries);
        for identity in self.identities.values() {
            if !settings.identities.contains(identity) {
                settings.identities.push(identity.clone());
            }
        }
        settings
    }

    /// What is wrong only beside something else, or beside its absence.
    fn check_together(&mut self, settings: &Settings, general: &Said) {
        let users = ["allowUid", "controlUid"].map(|name| general.last(name));
        let names_users = !(settings.allow_uid.is_empty() && settings.control_uid.is_empty());
        if names_users && !general.has("socket") {
            let places: Vec<String> = users.into_iter().flatten().map(Given::place).collect();
            let what = "expected --socket beside it, found none";
            self.problems.push(Problem::new(places.join(", "), what));
        }
        match Roots::read(settings.ca_file.as_deref()) {
            Ok((roots, warnings)) => {
                self.roots = Arc::new(roots);
                self.warnings.extend(warnings);
            }
            Err(reason) => {
                let place = general.last("caFile");
                let place = place.map_or_else(String::new, Given::place);
                self.problems.push(Problem::new(place, reason));
            }
        }
    }

    /// Looks at the files that these values name.
    fn read_files(&mut self, said: &Said) {
        if said.has("secret")
            && said.has("secretFile")
            && let Some(one) = said.last("secretFile").or_else(|| said.last("secret"))
        {
            let what = "expected secret or secretFile, found both";
            self.problems.push(Problem::new(one.place(), what));
        }
        if let Some(file) = said.last("secretFile") {
            self.read_secrets(file);
        }
        let (cert, key) = (said.last("clientCert"), said.last("clientKey"));
        self.read_identity(cert, key);
        match (cert, key) {
            (Some(one), _) if !said.has("clientKey") => self.lacks(one, "clientKey"),
            (_, Some(one)) if !said.has("clientCert") => self.lacks(one, "clientCert"),
            _ => {}
        }
    }

    fn lacks(&mut self, given: &Given, other: &str) {
        let what = format!("expected {other} beside it, found none");
        self.problems.push(Problem::new(given.place(), what));
    }

    fn read_secrets(&mut self, given: &Given) {
        let path = PathBuf::from(&given.text);
        if self.secrets.contains_key(&path) {
            return;
        }
        let secrets = self
            .read_private(given, SECRETS_BYTES_MAX)
            .and_then(|bytes| {
                if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = *bytes {
                    return Err("expected UTF-8, found UTF-16".to_owned());
                }
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| "expected UTF-8, found bytes that are none".to_owned())?;
                Secrets::parse_file(text).map_err(|(line, error)| match line {
                    Some(line) => format!("line {line}: {error}"),
                    None => error.to_string(),
                })
            });
        let secrets = self.right(given, secrets);
        self.secrets.insert(path, secrets.unwrap_or_default());
    }

    fn read_private(&mut self, given: &Given, bytes_max: usize) -> Result<Vec<u8>, String> {
        let path = Path::new(&given.text);
        let (bytes, mode) = read_file(path, bytes_max)?;
        self.warnings.extend(exposed(path, mode));
        Ok(bytes)
    }

    /// Looks at each of the files that is named, whatever is wrong with the other.
    fn read_identity(&mut self, cert: Option<&Given>, key: Option<&Given>) {
        let path = |given: Option<&Given>| given.map(|given| PathBuf::from(&given.text));
        let paths = path(cert).zip(path(key));
        if paths
            .as_ref()
            .is_some_and(|paths| self.identities.contains_key(paths))
        {
            return;
        }
        let chain = cert.and_then(|given| {
            let chain = read_file(Path::new(&given.text), IDENTITY_BYTES_MAX)
                .and_then(|(bytes, _)| tls::certificates(&bytes));
            let found = self.right(given, chain)?;
            self.passed_over(given, &found.passed_over);
            Some(found.items)
        });
        let private = key.and_then(|given| {
            let private = self
                .read_private(given, IDENTITY_BYTES_MAX)
                .and_then(|bytes| tls::private_key(&bytes));
            let (private, passed_over) = self.right(given, private)?;
            self.passed_over(given, &passed_over);
            Some(private)
        });
        let (Some(paths), Some(chain), Some(private)) = (paths, chain, private) else {
            return;
        };
        let wrong = match Identity::new(chain, private) {
            Ok(identity) => {
                self.identities.insert(paths, identity);
                None
            }
            Err(IdentityError::Certificate(what)) => cert.zip(Some(what)),
            Err(IdentityError::Key(what)) => key.zip(Some(what)),
        };
        if let Some((given, what)) = wrong {
            self.wrong(given, &what);
        }
    }

    /// Blocks of a file that do not count.
    fn passed_over(&mut self, given: &Given, blocks: &[String]) {
        let name = quoted(&given.text.to_string_lossy());
        let warnings = blocks.iter().map(|block| format!("{name}: {block}"));
        self.warnings.extend(warnings);
    }

    /// What a file says, unless it is wrong.
    fn right<T>(&mut self, given: &Given, read: Result<T, String>) -> Option<T> {
        read.map_err(|reason| self.wrong(given, &reason)).ok()
    }

    fn wrong(&mut self, given: &Given, reason: &str) {
        let name = quoted(&given.text.to_string_lossy());
        let what = format!("{name}: {reason}");
        self.problems.push(Problem::new(given.place(), what));
    }

    /// Puts in what the files say that these settings name.
    fn follow_files(&self, settings: &mut Settings) {
        if let Some(path) = &settings.files.secret
            && let Some(secrets) = self.secrets.get(path)
        {
            settings.endpoint.secrets = secrets.clone();
        }
        if let (Some(cert), Some(key)) = (&settings.files.client_cert, &settings.files.client_key) {
            let identity = self.identities.get(&(cert.clone(), key.clone()));
            settings.endpoint.tls_profile = identity.map_or(0, Identity::profile);
        }
    }
}

fn given_by_flag(setting: &'static Setting, text: &OsStr) -> Result<Given, Problem> {
    let given = Given {
        setting,
        text: text.to_owned(),
        source: Source::Flag,
    };
    match Settings::default().put(setting, text) {
        Ok(()) => Ok(given),
        Err(bad) => Err(given.problem(&bad)),
    }
}

fn put_all(settings: &mut Settings, all: &[Given]) {
    for given in all {
        let put = settings.put(given.setting, &given.text);
        assert_eq!(put, Ok(()), "values are checked where they are read");
    }
}

/// An origin for which the entry under this key holds.
fn sample(key: &str) -> Origin {
    let url = key.replacen("*.", "x.", 1);
    let url = Url::parse(&url).expect("a key is an origin, or one with a pattern in it");
    url.to_origin()
}

fn read_config(
    path: &Path,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> file::Contents {
    match read_file(path, file::FILE_BYTES_MAX) {
        Ok((bytes, mode)) => {
            warnings.extend(exposed(path, mode));
            file::read(&file_name(path), &bytes, problems)
        }
        Err(reason) => {
            problems.push(no_config(path, &reason));
            file::Contents::default()
        }
    }
}

fn no_config(path: &Path, reason: &str) -> Problem {
    let name = quoted(&path.to_string_lossy());
    Problem::new("--config", format!("{name}: {reason}"))
}

/// The configuration file's name, as it stands in places.
fn file_name(path: &Path) -> String {
    let mut name = String::new();
    crate::io::log::escape(&path.to_string_lossy(), &mut name);
    name
}

/// A file's bytes and mode.
fn read_file(path: &Path, bytes_max: usize) -> Result<(Vec<u8>, u32), String> {
    let read = || -> io::Result<(Vec<u8>, u32)> {
        let mut file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = Vec::new();
        file.by_ref()
            .take(bytes_max as u64 + 1)
            .read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    };
    match read() {
        Err(error) => Err(format!("can't be read: {error}")),
        Ok((bytes, _)) if bytes.len() > bytes_max => {
            Err(format!("expected at most {bytes_max} bytes, found more"))
        }
        Ok(read) => Ok(read),
    }
}

/// The warning that strangers may read what is not for them.
fn exposed(path: &Path, mode: u32) -> Option<String> {
    (mode & OTHERS_READ != 0).then(|| {
        let name = quoted(&path.to_string_lossy());
        format!("{name} may be read by everybody, and may hold secrets: chmod o-r")
    })
}

/// The values of flags, each list as one: it grows with each flag, and an empty value starts it anew.
#[must_use]
pub fn flags(
    typed: impl Iterator<Item = (&'static Setting, OsString)>,
) -> Vec<(&'static Setting, OsString)> {
    let mut all: Vec<(&'static Setting, OsString)> = Vec::new();
    for (setting, text) in typed {
        let former = all.iter_mut().find(|(known, _)| known.name == setting.name);
        match former {
            Some((_, list)) if setting.kind.is_list() => add(list, &text),
            Some((_, former)) => *former = text,
            None => all.push((setting, text)),
        }
    }
    all
}

fn add(list: &mut OsString, text: &OsStr) {
    if text.is_empty() {
        list.clear();
        return;
    }
    if !list.is_empty() {
        list.push(",");
    }
    list.push(text);
}

/// What is to be said where both limits of a spool can't hold.
fn cramped(settings: &Settings) -> Option<String> {
    let (max, kept) = (settings.max_dead_bytes, settings.journal().dead_bytes());
    (settings.spool.is_some() && kept < max).then(|| {
        format!("maxDeadBytes is {max}, but dead letters get an eighth of maxSpoolBytes: {kept} bytes of them are kept")
    })
}

#[cfg(test)]
mod tests;
