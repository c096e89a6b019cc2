//! The README's command lines, each read as a shell and then `conduit` would: what operators copy from it must go.
//!
//! A block of code in which lines have a prompt (`$ `) shows commands with their output; in others each line may be a
//! command. Values of flags and names of settings are checked too; files that a line names need not be there.
//!
//! Not here: what the commands do (`tests/e2e`, of the runbook `tests/e2e/runbook`).

use super::*;

const README: &str = include_str!("../../../README.md");

/// A command line, where it stands, and its words behind `conduit`.
#[derive(Debug)]
struct Example {
    place: usize,
    words: Vec<String>,
}

#[test]
fn every_command_line_of_the_readme_is_accepted() {
    let examples = examples(README);
    for command in COMMANDS {
        let is_shown =
            |example: &Example| example.words.first().is_some_and(|word| word == command);
        assert!(
            examples.iter().any(is_shown) || command == "help",
            "none of {command}"
        );
    }
    let complaints: Vec<String> = examples
        .iter()
        .filter_map(|one| complaint(one, README))
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn what_is_wrong_in_a_readme_is_found() {
    let text = "\
`conduit ctl sett` and `conduit ctl …`, `conduit explain [FILE]`, `conduit ctl set ORIGIN KEY=VALUE`
```
conduit check --prin &
echo 'conduit not | conduit nor' | conduit submit --wait --patience < jobs.ndjson > \"conduit none\"  # conduit x
A=b conduit run --timeout soon --config nowhere.json && conduit top --interval=-1; ls
conduit ctl set https://a.example \\
  maxConections=5
conduit ctl set https://a.example maxConnections=none
```
```console
$ conduit health --life
conduit: health has no flag
$ conduit run --ttl soon
conduit: --ttl: expected seconds from 0.001 to 2592000, found \"soon\"
```
```ini
ExecStart=/usr/local/bin/conduit run --maximum 5
```
";
    let complaints: Vec<String> = examples(text)
        .iter()
        .filter_map(|one| complaint(one, text))
        .collect();
    let found: Vec<&str> = complaints
        .iter()
        .map(|text| &text[..text.find(": ").unwrap()])
        .collect();
    let expected = ["1", "3", "4", "5", "5", "6", "8", "11", "17"];
    assert_eq!(found, expected, "{complaints:#?}");
}

#[test]
fn every_link_inside_the_readme_leads_to_a_heading() {
    let headings = README.lines().filter_map(|line| line.strip_prefix("##"));
    let anchors: Vec<String> = headings.map(anchor).collect();
    let links = README
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let links: Vec<&str> = links.collect();
    assert!(
        links.len() > 10 && anchors.len() > 10,
        "{links:?} {anchors:?}"
    );
    for link in links {
        assert!(
            anchors.iter().any(|anchor| anchor == link),
            "no heading is #{link}"
        );
    }
}

/// What a heading is called in links.
fn anchor(heading: &str) -> String {
    let letters = heading.trim_start_matches('#').trim().chars();
    let kept = letters.filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-'));
    kept.flat_map(char::to_lowercase)
        .collect::<String>()
        .replace(' ', "-")
}

/// What is wrong with a command line, unless the text shows it as its output.
fn complaint(example: &Example, text: &str) -> Option<String> {
    let words: Vec<&str> = example.words.iter().map(String::as_str).collect();
    let command = parse(words.iter().map(OsString::from));
    let wrong = match command {
        Ok(Command::Run(RunOptions { sources }) | Command::Check(CheckOptions { sources, .. })) => {
            wrong_value(sources)
        }
        Ok(Command::Explain(options)) => wrong_value(options.sources),
        Ok(Command::Ctl(CtlOptions {
            verb:
                Verb::Set {
                    setting: (name, value),
                    ..
                },
            ..
        })) => {
            let known = SETTINGS
                .iter()
                .find(|setting| setting.name == name && setting.is_per_endpoint());
            match known.map(|setting| Settings::default().put(setting, OsStr::new(&value))) {
                None => Some(format!("no endpoint has a setting {name}")),
                Some(Err(bad)) => Some(bad.to_string()),
                Some(Ok(())) => None,
            }
        }
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    let wrong = wrong.filter(|wrong| !text.lines().any(|line| line == format!("conduit: {wrong}")));
    wrong.map(|wrong| format!("{}: conduit {}: {wrong}", example.place, words.join(" ")))
}

fn wrong_value(sources: Sources) -> Option<String> {
    let sources = Sources {
        file: None,
        ..sources
    };
    let problems = sources.load().err()?;
    Some(problems.first()?.to_string())
}

/// All command lines of a text in Markdown.
fn examples(text: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut block: Option<Vec<(usize, &str)>> = None;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        match &mut block {
            Some(lines) if fence => {
                found.extend(of_block(lines));
                block = None;
            }
            Some(lines) => lines.push((index + 1, line)),
            None if fence => block = Some(Vec::new()),
            None => found.extend(of_prose(index + 1, line)),
        }
    }
    found
}

fn of_prose(place: usize, line: &str) -> Vec<Example> {
    let code = line.split('`').skip(1).step_by(2);
    let code = code.filter(|code| code.starts_with("conduit ") && !code.contains('…'));
    // What stands for something is replaced by such a thing.
    let code = code.map(|code| {
        let code = code
            .replace(['[', ']'], "")
            .replace("KEY=VALUE", "maxConnections=5");
        code.replace("ORIGIN", "https://example.com")
            .replace("=N", "=5")
    });
    code.flat_map(|code| of_shell(place, &code)).collect()
}

fn of_block(lines: &[(usize, &str)]) -> Vec<Example> {
    let has_prompts = lines.iter().any(|(_, line)| line.starts_with("$ "));
    let (mut found, mut start, mut whole) = (Vec::new(), None, String::new());
    for (place, line) in lines {
        let line = match line.strip_prefix("$ ") {
            Some(line) => line,
            None if has_prompts && start.is_none() => continue,
            None => line.strip_prefix("ExecStart=").unwrap_or(line),
        };
        let place = *start.get_or_insert(*place);
        match line.strip_suffix('\\') {
            Some(line) => whole.push_str(line),
            None => {
                whole.push_str(line);
                found.extend(of_shell(place, &whole));
                (start, whole) = (None, String::new());
            }
        }
    }
    found
}

/// The commands of a line of shell, as far as examples need it: words, quotes, and what stands between commands.
fn of_shell(place: usize, line: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut letters = line.chars().peekable();
    let mut end = |words: &mut Vec<String>| {
        let words = std::mem::take(words);
        let is_conduit = |word: &String| word == "conduit" || word.ends_with("/conduit");
        let start = words.iter().position(is_conduit);
        // Only variables may stand before it.
        if let Some(start) =
            start.filter(|start| words[..*start].iter().all(|word| word.contains('=')))
        {
            found.push(Example {
                place,
                words: words[start + 1..].to_vec(),
            });
        }
    };
    while let Some(letter) = letters.peek().copied() {
        match letter {
            ' ' => {
                letters.next();
            }
            '#' => break,
            '|' | '&' | ';' | '(' | ')' => {
                letters.next();
                end(&mut words);
            }
            '<' | '>' => {
                letters.next();
                if words.last().is_some_and(|word| word == "2") {
                    words.pop();
                }
                while letters
                    .next_if(|letter| matches!(letter, ' ' | '>' | '&'))
                    .is_some()
                {}
                let _file = word(&mut letters);
            }
            _ => words.push(word(&mut letters)),
        }
    }
    end(&mut words);
    found
}

fn word(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let (mut word, mut quote) = (String::new(), None);
    while let Some(letter) = letters.peek().copied() {
        match (quote, letter) {
            (None, ' ' | '|' | '&' | ';' | '(' | ')' | '<' | '>') => break,
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            (None | Some('"'), '\\') => {
                letters.next();
                word.extend(letters.peek());
            }
            _ => word.push(letter),
        }
        letters.next();
    }
    word
}
