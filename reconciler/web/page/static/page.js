// Makes the page live. Everything works without it: each part looks for the elements it serves.
const language = document.documentElement.lang;

// -- times: the server writes UTC, readers see their own zone

const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });

export function localTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const when = new Date(element.dateTime);
    if (!Number.isNaN(when.valueOf())) {
      element.title = exact.format(when);
    }
  }
}

localTimes();
