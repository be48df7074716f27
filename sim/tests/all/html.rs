//! What a broker or a script says stays text in a page.

use squall_sim::show::{
    mermaid::escaped,
    page::{SCRIPT, STYLE, source, write},
};

#[test]
fn what_mermaid_would_take_for_its_own_is_written_as_a_number() {
    assert_eq!(escaped("a;b #1 <b>\n%%"), "a#59;b #35;1 #60;b#62;\u{fffd}#37;#37;");
}

#[test]
fn nothing_in_the_data_or_the_title_can_become_markup() {
    let evil = r#"</script><script>alert(1)</script><!--"#;
    let page = write(evil, evil, &serde_json::json!({ "label": evil }).to_string());
    assert_eq!(page.matches("<script").count(), 2, "the data and our own script, nothing else");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<!--"));
    let start = page.find(r#"type="application/json""#).expect("the data is there");
    let data = &page[start + page[start..].find('>').expect("the tag ends") + 1..];
    let data = &data[..data.find("</script").expect("the block ends")];
    let read: serde_json::Value = serde_json::from_str(data).expect("it is still JSON");
    assert_eq!(read["label"], evil);
}

#[test]
fn the_policy_names_the_script_and_the_style_as_they_stand_in_the_page() {
    let page = write("t", "", "{}");
    for (tag, text) in [("<script>", SCRIPT), ("<style>", STYLE)] {
        let from = page.find(tag).expect("the tag is there") + tag.len();
        let end = format!("</{}", &tag[1..]);
        let stands = &page[from..from + page[from..].find(&end).expect("it ends")];
        assert_eq!(stands, text);
        assert!(page.contains(&source(text).replace('/', "&#x2f;")) || page.contains(&source(text)), "{tag}");
    }
}
