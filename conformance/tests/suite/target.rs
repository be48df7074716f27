//! A real address, as people write it.

use squall_conformance::target::Target;

fn written(text: &str) -> Result<String, String> {
    text.parse::<Target>().map(|target| target.to_string()).map_err(|error| error.to_string())
}

#[test]
fn an_address_has_many_spellings() {
    for (texts, shown) in [
        (
            &["broker:1883", "broker", "tcp://broker:1883", "mqtt://broker", "mqtt://broker:1883/"][..],
            "tcp://broker:1883",
        ),
        (&["[::1]:1883", "tcp://[::1]:1883", "::1"], "tcp://[::1]:1883"),
        (&["tls://broker", "mqtts://broker:8883", "ssl://broker"], "tls://broker:8883"),
        (&["ws://broker"], "ws://broker:80"),
        (&["wss://[::1]:9001/mqtt?a=b", "WSS://[::1]:9001/mqtt?a=b"], "wss://[::1]:9001/mqtt?a=b"),
        (&["tcp://ann:secret@broker"], "tcp://broker:1883"),
    ] {
        for text in texts {
            assert_eq!(written(text).as_deref(), Ok(shown), "{text}");
        }
    }
    let target: Target = "tls://ann:s%40@broker".parse().expect("a target");
    assert_eq!((target.url.username.as_deref(), target.url.password.as_deref()), (Some("ann"), Some("s@")));
    assert_eq!("ws://broker".parse::<Target>().expect("a target").path(), "/mqtt");
}

#[test]
fn a_wrong_address_is_refused_in_words() {
    for (text, sentence) in [
        ("quic://a:1", "the scheme 'quic' is not spoken here, expected tcp, tls, ws or wss (mqtt, mqtts)"),
        ("a:70000", "'70000' is no port: expected a number from 1 to 65535"),
        ("a:0", "'0' is no port: expected a number from 1 to 65535"),
        (":1883", "':1883' names no host"),
        ("tcp://a:1/b", "'/b' has a path, which only ws:// and wss:// have"),
        ("a b:1", "'a b' is no host"),
    ] {
        assert_eq!(written(text).unwrap_err(), sentence, "{text}");
    }
    assert!(written("[::1").is_err());
}
