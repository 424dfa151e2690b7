//! File inputs: their paths in the container, binds and staging.

use std::collections::HashMap;
use std::path::PathBuf;

use super::container::MaskedText;
use super::request::{HostFile, InputSource, RunRequest};
use super::{FileAccess, NameIndex, PlanBuilder, PlanCode, PlannedFile, PlannedInput, known};
use crate::seed::environment::variable_name;
use crate::seed::model::{JobInputFile, SeedManifest};

/// Up to this number of files are bound individually; more are staged in one folder, because engines are slow with
/// many binds.
const MAX_BINDS: usize = 32;
/// Longest file name in bytes (`NAME_MAX`).
const MAX_NAME: usize = 255;

impl PlanBuilder {
    /// Plans the given file inputs.
    pub(super) fn files(&mut self, manifest: &SeedManifest, request: &RunRequest) -> Vec<PlannedInput> {
        let inputs = &manifest.job.interface.inputs;
        let index = NameIndex::new(inputs.files.iter().map(|input| &*input.name));
        let mut given: Vec<Vec<&InputSource>> = inputs.files.iter().map(|_| Vec::new()).collect();
        for (name, source) in &request.files {
            match index.find(name) {
                Some(place) => given[place].push(source),
                None => self.unknown_file_input(name, manifest),
            }
        }
        inputs.files.iter().zip(given).filter_map(|(input, given)| self.file_input(input, &given, request)).collect()
    }

    fn unknown_file_input(&mut self, name: &str, manifest: &SeedManifest) {
        let inputs = &manifest.job.interface.inputs;
        let json = NameIndex::new(inputs.json.iter().map(|input| &*input.name));
        let help = match json.find(name) {
            Some(_) => "It is a JSON input: give it a value, not a file.".to_owned(),
            None => known("file inputs", inputs.files.iter().map(|input| &*input.name)),
        };
        self.problems.add(PlanCode::Unknown, name, "the job has no file input of this name.", help);
    }

    fn file_input(
        &mut self,
        input: &JobInputFile,
        given: &[&InputSource],
        request: &RunRequest,
    ) -> Option<PlannedInput> {
        if given.is_empty() {
            if input.required {
                let help = if input.multiple { "Give it files, or a folder of them." } else { "Give it a file." };
                self.problems.add(PlanCode::Missing, &input.name, "the job needs this input.", help);
            }
            // The variable is unset, also for `multiple`, as in the standard.
            return None;
        }
        let folder = format!("{}/{}", request.layout.inputs(), input.name);
        let planned = if input.multiple {
            self.several(input, given, folder, request)?
        } else {
            self.single(input, given, folder)?
        };
        self.set(planned.variable.clone(), MaskedText::plain(&planned.path));
        Some(planned)
    }

    fn single(&mut self, input: &JobInputFile, given: &[&InputSource], folder: String) -> Option<PlannedInput> {
        let file = match given {
            [InputSource::File(file)] => file,
            [InputSource::Folder { .. }] => {
                let message = "it takes one file, but this is a folder.";
                self.problems.add(PlanCode::BadValue, &input.name, message, "Give it a file.");
                return None;
            }
            more => {
                let message = format!("it takes one file, but {} are given.", more.len());
                self.problems.add(PlanCode::TooMany, &input.name, message, "Give it one file.");
                return None;
            }
        };
        let file = self.planned(input, file, file.name.clone(), &folder)?;
        self.bind(&file.source, &file.path, true);
        let path = file.path.clone();
        Some(planned_input(input, path, vec![file], None))
    }

    fn several(
        &mut self,
        input: &JobInputFile,
        given: &[&InputSource],
        folder: String,
        request: &RunRequest,
    ) -> Option<PlannedInput> {
        let mut names = HashMap::new();
        let mut files = Vec::new();
        for source in given {
            let (found, is_flat) = match source {
                InputSource::File(file) => (std::slice::from_ref(file), true),
                InputSource::Folder { files, is_flat, .. } => (&**files, *is_flat),
            };
            if !is_flat {
                let name = &input.name;
                self.warn(format!("{name}: only the files directly in its folder are passed to the job."));
            }
            for file in found {
                let name = self.own_name(input, &file.name, &mut names);
                files.push(self.planned(input, file, name, &folder)?);
            }
        }
        let whole = match given {
            [InputSource::Folder { path, is_flat: true, .. }] if !request.folders_apart => Some(path.clone()),
            _ => None,
        };
        let staged = (whole.is_none() && (files.is_empty() || files.len() > MAX_BINDS))
            .then(|| request.folder.input(&input.name));
        match whole.as_ref().or(staged.as_ref()) {
            Some(source) => self.bind(source, &folder, true),
            None => files.iter().for_each(|file| self.bind(&file.source, &file.path, true)),
        }
        Some(planned_input(input, folder, files, staged))
    }

    /// A unique file name: a repeated one gets a number. `taken` counts the files by name.
    fn own_name(&mut self, input: &JobInputFile, name: &str, taken: &mut HashMap<String, usize>) -> String {
        let mut number = taken.get(name).map_or(1, |seen| seen + 1);
        let mut own = if number == 1 { name.to_owned() } else { format!("{number}-{name}") };
        while number > 1 && taken.contains_key(&own) {
            number += 1;
            own = format!("{number}-{name}");
        }
        if number > 1 {
            self.warn(format!("{}: there is more than one {name}; the job finds this one as {own}.", input.name));
            taken.insert(own.clone(), 1);
        }
        taken.insert(name.to_owned(), number);
        own
    }

    fn planned(&mut self, input: &JobInputFile, file: &HostFile, name: String, folder: &str) -> Option<PlannedFile> {
        let why = match &*name {
            "" | "." | ".." => "is not a file name",
            name if name.len() > MAX_NAME => "is longer than 255 bytes",
            name if name.contains('/') => "contains a slash",
            name if name.chars().any(char::is_control) => "contains control characters",
            _ => {
                let path = format!("{folder}/{name}");
                return Some(PlannedFile {
                    name,
                    path,
                    source: file.path.clone(),
                    size: file.size,
                    access: FileAccess::default(),
                });
            }
        };
        let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
        let message = format!("the name of its file `{shown}` {why}.");
        self.problems.add(PlanCode::BadValue, &input.name, message, "Rename the file.");
        None
    }
}

fn planned_input(input: &JobInputFile, path: String, files: Vec<PlannedFile>, staged: Option<PathBuf>) -> PlannedInput {
    let variable = variable_name(&input.name);
    PlannedInput { name: input.name.clone(), variable, path, multiple: input.multiple, files, staged }
}
