// Names of files, as a machine or a person's computer gives them: a name is no path.

// What is wrong with a name that is to be one file in one directory; nothing when it is one.
export function nameProblem(name) {
  if (name === '' || name === '.' || name === '..') return 'it is no name of a file';
  if (/[/\\]/.test(name)) return 'it has a slash in it';
  if (/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(name)) return 'it has control characters in it';
  if (new TextEncoder().encode(name).length > 255) return 'it is too long';
  return undefined;
}

// For people to look at: what could hide or turn around text is shown as what it is.
export function shownName(name) {
  return name.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

export function joined(directory, name) {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}
