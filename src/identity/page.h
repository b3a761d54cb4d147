// Pages for people: server-rendered HTML that needs no script, under a policy that lets nothing else in
// (no script but one known by its hash, no frame around it, no other place that a form may go to).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http.h"

namespace merlon::identity {

// Text as HTML, in an element or in a quoted attribute.
std::string html(std::string_view text);

struct Page {
  int status = 200;
  std::string title = {};
  std::string content = {};  // HTML; made by the functions here
  std::vector<std::string> form_sources =
      {};                        // where forms and what follows them may lead, beside this server
  std::string_view script = {};  // run by its hash alone
  bool submits_itself = false;   // the only form is sent by a script where there is one
};
net::Response page_reply(const Page& page);

using HiddenFields = std::vector<std::pair<std::string, std::string>>;
// `content` is HTML.
std::string page_form(std::string_view action, const HiddenFields& hidden, std::string_view content);
std::string page_paragraph(std::string_view text);
std::string page_alert(std::string_view text);  // nothing for no text
// Facts in two columns.
std::string page_facts(const std::vector<std::pair<std::string, std::string>>& facts);

struct PageField {
  std::string label, name;
  std::string type = "text";
  std::string autocomplete = {};
  std::string value = {};
  std::string note = {};  // below it
  bool focus = false;
};
std::string page_field(const PageField& field);
// A button for the page's script, and a place for what the script has to say.
std::string page_script_button(std::string_view label);
// The button that is meant comes first: Enter presses it.
std::string page_button(std::string_view label, std::string_view value, bool primary = true);

}  // namespace merlon::identity
