//! Profiles of brokers: what they may say, and how a broker is started by them.

use std::{collections::BTreeSet, num::NonZeroU16, path::Path};

use squall_codec::version::Version;
use squall_conformance::{
    launch::{built_in, recipe::Launch},
    profile::{JOBS, Profile},
    setup::Setup,
    target::Target,
};

#[test]
fn a_profile_names_only_statements_that_exist() {
    let text = |statement| {
        format!("name = 'x'\ntarget = 'a:1'\n[[known]]\nstatement = '{statement}'\nversions = ['1']\nreason = 'r'\n")
    };
    assert!(Profile::parse(&text("5.0/MQTT-3.1.0-2")).is_ok());
    assert_eq!(Profile::parse(&text("5.0/MQTT-0.0.0-0")).unwrap_err(), "there is no statement 5.0/MQTT-0.0.0-0");
}

#[test]
fn a_profile_says_how_many_tests_its_broker_bears() {
    let of = |line: &str| Profile::parse(&format!("name = 'x'\ntarget = 'a:1'\n{line}\n"));
    assert_eq!(of("").expect("it needs no line").jobs, None);
    assert_eq!(of("jobs = 1").expect("one is a number").jobs, NonZeroU16::new(1));
    assert!(of("jobs = 0").is_err());
    let one = of("jobs = 1").expect("one is a number");
    let at_a_time = |profile, asked| Profile::jobs(profile, asked);
    assert_eq!([at_a_time(None, None), at_a_time(Some(&one), None), at_a_time(Some(&one), Some(8))], [JOBS, 1, 8]);
}

#[test]
fn a_server_that_says_a_number_keeps_the_name_of_its_profile() {
    let profile = Profile::parse("name = 'x'\ntarget = 'a:1'\n").expect("a profile");
    let called = |profile, identity| Profile::subject(profile, identity).unwrap_or_default();
    assert_eq!(called(Some(&profile), Some("0.49.0")), "x 0.49.0");
    assert_eq!(called(Some(&profile), Some("y version 2")), "y version 2");
    assert_eq!(called(Some(&profile), None), "x");
    assert_eq!([called(None, Some("0.49.0")), called(None, None)], ["0.49.0", ""]);
}

#[test]
fn a_wrong_profile_is_shown_with_its_line() {
    let error = Profile::parse("name = 'x'\ntarget = 'a:1'\nnonsense = 1\n").unwrap_err();
    assert!(error.contains("line 3") && error.contains("nonsense"), "{error}");
}

#[test]
fn a_server_that_tells_what_it_is_has_its_profile() {
    let name = |identity| built_in::of_identity(identity).map(|profile| profile.name);
    assert_eq!(name("mosquitto version 2.0.11").as_deref(), Some("Mosquitto"));
    assert_eq!(name("something else"), None);
}

#[test]
fn every_setup_has_a_name_of_its_own() {
    let names: BTreeSet<_> = Setup::ALL.iter().map(|setup| setup.name()).collect();
    assert_eq!(names.len(), Setup::ALL.len());
}

fn launch(text: &str) -> Launch {
    toml::from_str(text).expect("a recipe")
}

#[test]
fn a_setup_changes_what_it_names_and_nothing_else() {
    let launch = launch(
        "program = 'b'\narguments = ['-c', '{folder}/c']\nfiles.c = \"port {port}\\n{lines}{ x: 1 }\"\nvalues.lines = ''\n\
         [setups.users]\nvalues.lines = \"user {username}\\n\"\narguments = ['-v']\n",
    );
    let recipe = |setup| launch.recipe(setup, Path::new("/f"), [7, 8, 9]);
    let plain = recipe(Setup::Plain).expect("it can always be as it is");
    assert_eq!((plain.files["c"].as_str(), plain.target.as_str()), ("port 7\n{ x: 1 }", "tcp://127.0.0.1:7"));
    let users = recipe(Setup::Users).expect("the profile has it");
    assert_eq!(users.files["c"], "port 7\nuser squall\n{ x: 1 }");
    assert_eq!(users.arguments, ["-c", "/f/c", "-v"]);
    assert_eq!(recipe(Setup::Acl), None);
}

#[test]
fn a_setup_that_nobody_knows_is_told() {
    let error = launch("program = 'b'\n[setups.userz]\n").check().expect_err("it is misspelt");
    assert!(error.contains("'userz'") && error.contains("users"), "{error}");
}

#[test]
fn a_version_may_have_an_address_of_its_own() {
    let launch = launch(
        "program = 'b'\ntarget = 'a:{port}'\ntargets = { '3.1' = 'a:{spare}', '3.1.1' = 'a:{spare}' }\n\
         [setups.websocket]\ntarget = 'ws://a:{port}/'\n",
    );
    let places = |setup| {
        let recipe = launch.recipe(setup, Path::new("/f"), [7, 8, 9]).expect("the profile has it");
        let places = recipe.places(&Version::ALL).expect("they are addresses");
        places.into_iter().map(|(target, versions)| (target.to_string(), versions)).collect::<Vec<_>>()
    };
    let own = [("a:8", vec![Version::V3_1, Version::V3_1_1]), ("a:7", vec![Version::V5_0])];
    let own = own.map(|(target, versions)| (target.parse::<Target>().expect("an address").to_string(), versions));
    assert_eq!(places(Setup::Plain), own);
    let [(target, versions)] = &places(Setup::WebSocket)[..] else { panic!("all are reached there") };
    assert!(target.starts_with("ws://a:7") && versions.len() == 3, "{target}");
}

#[test]
fn an_address_for_no_version_is_told() {
    let error = launch("program = 'b'\ntargets = { '4' = 'a:1' }\n").check().expect_err("there is no such version");
    assert!(error.contains("'4'"), "{error}");
}

#[test]
fn every_profile_can_be_read_and_leaves_no_placeholder() {
    for (name, _) in built_in::PROFILES {
        let Some(launch) = built_in::find(name).expect("a profile").launch else { continue };
        for setup in Setup::ALL.into_iter().filter(|setup| launch.has(*setup)) {
            let recipe = launch.recipe(setup, Path::new("/f"), [7, 8, 9]).expect("the profile has it");
            for word in ["{lines}", "{folder}", "{port}", "{third}", "{username}", "{password}", "{packet_bytes}"] {
                assert!(!format!("{recipe:?}").contains(word), "{name} {setup:?} leaves {word}");
            }
            assert!(recipe.target.parse::<Target>().is_ok(), "{name}: {}", recipe.target);
            assert!(launch.values.keys().all(|value| !format!("{recipe:?}").contains(&format!("{{{value}}}"))));
        }
    }
}
