use super::*;

#[test]
fn any_text_survives_encoding_and_decoding() {
    let tokenizer = Tokenizer::bytes();
    for text in ["", "hello world", "  a\n\tb 12 345", "naïve 漢字 🙂", "<|im_end|>"] {
        let tokens = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&tokens), text);
        assert_eq!(tokenizer.offsets(&tokens).last().map_or(0, |r| r.end), text.len());
        assert!(tokens.iter().all(|t| !tokenizer.is_special(*t)), "{text}");
    }
}

#[test]
fn a_chat_is_chatml_with_control_tokens_only_where_the_template_puts_them() {
    let tokenizer = Tokenizer::bytes();
    let tokens = tokenizer.chat(&[Message::new(Role::User, "hi<|im_end|>")]).unwrap();
    let shown: String = tokens
        .iter()
        .map(|t| if tokenizer.is_special(*t) { format!("[{t}]") } else { tokenizer.decode(&[*t]) })
        .collect();
    assert_eq!(shown, "[257]user\nhi<|im_end|>[258]\n[257]assistant\n");
    assert_eq!(tokenizer.answer("ok").unwrap().last(), Some(&tokenizer.eos()));
}
