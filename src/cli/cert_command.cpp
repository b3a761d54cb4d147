// merlon cert: certificates of a vault, with their keys.
#include <charconv>

#include "base/bytes.h"
#include "cli/certificate_text.h"
#include "cli/output.h"
#include "cli/private_files.h"
#include "cli/prompt.h"
#include "cli/vault_api.h"

namespace merlon::cli {
namespace {

constexpr size_t kFileBytesMax = 256 * 1024;

struct CertOptions {
  std::string vault, name, version, subject, issuer = "Self", type = "RSA", size, curve = "P-256", months,
                                             file;
  std::string renew_days, reason = "unspecified";
  std::vector<std::string> dns_names, emails;
  bool deleted = false, pem = false, keep_key = false, has_password = false, notify = false;
};

std::string path_of(const CertOptions& options) { return "/certificates/" + part(options.name); }

Result<int64_t> number(const std::string& text, const char* option) {
  int64_t value = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (wrong != std::errc() || end != text.data() + text.size())
    return wrong_usage(std::string(option) + " is a whole number.");
  return value;
}

Result<JsonObject> policy_of(const CertOptions& options) {
  JsonObject key{{"kty", options.type}, {"exportable", !options.keep_key}};
  if (options.type == "EC") key["crv"] = options.curve;
  if (!options.size.empty()) key["key_size"] = TRY(number(options.size, "--size"));
  std::string subject = options.subject;
  if (subject.empty() && !options.dns_names.empty()) subject = "CN=" + options.dns_names.front();
  if (subject.empty()) return wrong_usage("Give --subject 'CN=…' or --dns NAME.");
  JsonObject x509{{"subject", subject},
                  {"sans", {{"dns_names", JsonArray(options.dns_names.begin(), options.dns_names.end())}}}};
  if (!options.months.empty()) x509["validity_months"] = TRY(number(options.months, "--months"));
  JsonObject policy{
      {"issuer", {{"name", options.issuer}}},
      {"key_props", std::move(key)},
      {"secret_props", {{"contentType", options.pem ? "application/x-pem-file" : "application/x-pkcs12"}}},
      {"x509_props", std::move(x509)}};
  if (options.renew_days.empty() && !options.notify) return policy;
  JsonObject trigger{{"lifetime_percentage", 80}};
  if (!options.renew_days.empty())
    trigger = {{"days_before_expiry", TRY(number(options.renew_days, "--days-before"))}};
  policy["lifetime_actions"] =
      JsonArray{JsonObject{{"trigger", std::move(trigger)},
                           {"action", {{"action_type", options.notify ? "EmailContacts" : "AutoRenew"}}}}};
  return policy;
}

Result<int> create(Context& context, const CertOptions& options) {
  const JsonObject body{{"policy", TRY(policy_of(options))}};
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject asked = TRY(vault.call("POST", path_of(options) + "/create", &body));
  if (text_at(asked, "status") == "completed") {
    const JsonObject made = TRY(vault.call("GET", path_of(options)));
    show(context, made, certificate_text(made));
    return kDone;
  }
  show(context, asked,
       pem_of("CERTIFICATE REQUEST", text_at(asked, "csr")) +
           "Have this request signed, then: merlon cert merge --vault " + printable(options.vault) + " -n " +
           printable(options.name) + " --file SIGNED.pem\n");
  return kDone;
}

Result<int> show_one(Context& context, const CertOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const std::string version = options.version.empty() ? "" : "/" + part(options.version);
  const JsonObject known = TRY(vault.call("GET", path_of(options) + version));
  const std::string der = text_at(known, "cer");
  show(context, known,
       options.pem ? (der.empty() ? "" : pem_of("CERTIFICATE", der)) : certificate_text(known));
  return kDone;
}

Result<int> revoke(Context& context, const CertOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const std::string version = options.version.empty() ? "" : "/" + part(options.version);
  const JsonObject body{{"reason", options.reason}};
  const JsonObject done = TRY(vault.call("POST", path_of(options) + version + "/revoke", &body));
  show(context, done,
       "Revoked: " + printable(text_at(done, "serial_number")) +
           ". The list that says so: " + printable(text_at(done, "crl")) +
           "\nIt is still in the vault: 'merlon cert create' makes another, 'merlon cert delete' takes it "
           "away.\n");
  return kDone;
}

Result<int> show_request(Context& context, const CertOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject known = TRY(vault.call("GET", path_of(options) + "/pending"));
  show(context, known, pem_of("CERTIFICATE REQUEST", text_at(known, "csr")));
  return kDone;
}

Result<int> list(Context& context, const CertOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject known = TRY(vault.list(options.deleted ? "/deletedcertificates" : "/certificates"));
  Table table({"NAME", "ENABLED", "BEGINS", "ENDS"});
  for (const Json& value : known.at("value").get_array()) {
    const JsonObject& one = value.get_object();
    table.add({last_segment(text_at(one, "id")), text_at(one, "attributes.enabled"),
               seconds_text(one, "attributes.nbf"), seconds_text(one, "attributes.exp")});
  }
  show(context, known, table.size() == 0 ? "There are none.\n" : table.text());
  return kDone;
}

Result<int> import(Context& context, const CertOptions& options) {
  const Secret content(TRY(read_named_file(options.file, kFileBytesMax + 1)));
  const bool pem = content.expose_text().find("-----BEGIN") != std::string_view::npos;
  JsonObject body{{"value", pem ? std::string(content.expose_text()) : to_base64(content.expose())}};
  if (options.has_password) {
    const Secret password = TRY(ask_secret("Password of " + options.file + ": ",
                                           "run it on a terminal, or give a file without a password"));
    body["pwd"] = password.expose_text();
  }
  if (options.keep_key) body["policy"] = JsonObject{{"key_props", {{"exportable", false}}}};
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject made = TRY(vault.call("POST", path_of(options) + "/import", &body));
  show(context, made, certificate_text(made));
  return kDone;
}

Result<int> merge(Context& context, const CertOptions& options) {
  const std::string content = TRY(read_named_file(options.file, kFileBytesMax + 1));
  const JsonObject body{{"x5c", JsonArray{to_base64(as_bytes(content))}}};
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject made = TRY(vault.call("POST", path_of(options) + "/pending/merge", &body));
  show(context, made, certificate_text(made));
  return kDone;
}

Result<int> contacts(Context& context, const CertOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  JsonObject known;
  if (options.emails.empty()) {
    known = TRY(vault.call("GET", "/certificates/contacts"));
  } else {
    JsonArray all;
    for (const std::string& email : options.emails) all.push_back(JsonObject{{"email", email}});
    const JsonObject body{{"contacts", std::move(all)}};
    known = TRY(vault.call("PUT", "/certificates/contacts", &body));
  }
  Table table({"EMAIL", "NAME", "PHONE"});
  if (const JsonArray* all = array_at(known, "contacts"))
    for (const Json& one : *all)
      table.add({text_at(one.get_object(), "email"), text_at(one.get_object(), "name"),
                 text_at(one.get_object(), "phone")});
  show(context, known, table.text());
  return kDone;
}

Result<int> act(Context& context, const CertOptions& options, const char* method, const std::string& path,
                const std::string& what) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject answer = TRY(vault.call(method, path));
  show(context, answer.empty() ? JsonObject{{"name", options.name}} : answer, printable(options.name) + what);
  return kDone;
}
Result<int> remove(Context& context, const CertOptions& options) {
  return act(
      context, options, "DELETE", path_of(options),
      " is deleted, with its key and secret. 'merlon cert recover' brings it back until it is purged.\n");
}
Result<int> recover(Context& context, const CertOptions& options) {
  return act(context, options, "POST", "/deletedcertificates/" + part(options.name) + "/recover",
             " is back.\n");
}
Result<int> purge(Context& context, const CertOptions& options) {
  return act(context, options, "DELETE", "/deletedcertificates/" + part(options.name), " is destroyed.\n");
}
Result<int> cancel(Context& context, const CertOptions& options) {
  return act(context, options, "DELETE", path_of(options) + "/pending", ": its request is gone.\n");
}

void in_vault(Command& command, CertOptions& options) {
  command.text("--vault", options.vault, "Name of the vault").required();
}
void named(Command& command, CertOptions& options) {
  in_vault(command, options);
  command.text("--name,-n", options.name, "Name of the certificate").required();
}
void with_file(Command& command, CertOptions& options) {
  named(command, options);
  command.text("--file", options.file, "Where it is; - is standard input").required();
}

void declare_create(Command& command, CertOptions& options) {
  named(command, options);
  command
      .text("--subject", options.subject,
            "Whose it is, as 'CN=www.example.org, O=Example'; the first --dns when not given")
      .texts("--dns", options.dns_names, "A DNS name that it is for; may be given again")
      .text("--issuer", options.issuer,
            "Self (when not given), Unknown (you have its request signed), or one of 'merlon ca list'")
      .text("--months", options.months, "How long it holds; 12 when not given")
      .choice("--type", options.type, {"RSA", "EC"}, "RSA (when not given) or EC")
      .text("--size", options.size, "Bits of an RSA key; 2048 when not given")
      .choice("--curve", options.curve, {"P-256", "P-384", "P-521", "P-256K"},
              "Of an EC key; P-256 when not given")
      .flag("--keep-key", options.keep_key, "The private key never leaves the vault")
      .flag("--pem", options.pem, "The secret is PEM, not PKCS #12")
      .text("--days-before", options.renew_days,
            "Act that many days before its end; at 80 % of its life when not given")
      .flag("--notify", options.notify, "Tell the contacts instead of renewing");
}

}  // namespace

std::vector<Command> cert_commands() {
  return {
      make_command("cert create", "Make a certificate with its key, as a new version",
                   "merlon cert create --vault kv-web -n www --dns www.example.org --issuer house", create,
                   declare_create),
      make_command("cert show", "A certificate, without its private key",
                   "merlon cert show --vault kv-web -n www --pem > www.pem", show_one,
                   [](Command& command, CertOptions& options) {
                     named(command, options);
                     command.text("--version", options.version, "One version; the newest when not given")
                         .flag("--pem", options.pem, "The certificate itself, in PEM");
                   }),
      make_command("cert list", "The certificates of a vault", "merlon cert list --vault kv-web", list,
                   [](Command& command, CertOptions& options) {
                     in_vault(command, options);
                     command.flag("--deleted", options.deleted, "Those that are deleted and not yet purged");
                   }),
      make_command(
          "cert import", "Bring a certificate with its private key: PFX or PEM",
          "merlon cert import --vault kv-web -n www --file www.pfx --protected", import,
          [](Command& command, CertOptions& options) {
            with_file(command, options);
            command.flag("--protected", options.has_password, "You are asked for the file's password")
                .flag("--keep-key", options.keep_key, "The private key does not leave the vault again");
          }),
      make_command("cert request", "The request that waits for a signature, in PEM",
                   "merlon cert request --vault kv-web -n www > www.csr", show_request, named),
      make_command("cert merge", "Bring the certificate that was signed for a request, with those above it",
                   "merlon cert merge --vault kv-web -n www --file signed.pem", merge, with_file),
      make_command("cert cancel", "Drop a request", "merlon cert cancel --vault kv-web -n www", cancel,
                   named),
      make_command("cert revoke",
                   "Say that a certificate of an authority of the vault is not to be trusted any more",
                   "merlon cert revoke --vault kv-web -n www --reason keyCompromise", revoke,
                   [](Command& command, CertOptions& options) {
                     named(command, options);
                     command.text("--version", options.version, "One version; the newest when not given")
                         .text("--reason", options.reason,
                               "unspecified, keyCompromise, affiliationChanged, superseded, "
                               "cessationOfOperation or privilegeWithdrawn");
                   }),
      make_command("cert contacts", "Who is told of certificates that end; sets them when --email is given",
                   "merlon cert contacts --vault kv-web --email ops@example.org", contacts,
                   [](Command& command, CertOptions& options) {
                     in_vault(command, options);
                     command.texts("--email", options.emails, "An address; may be given again");
                   }),
      make_command("cert delete",
                   "Delete a certificate with its key and secret; it can be recovered for a while",
                   "merlon cert delete --vault kv-web -n www", remove, named),
      make_command("cert recover", "Bring a deleted certificate back",
                   "merlon cert recover --vault kv-web -n www", recover, named),
      make_command("cert purge", "Destroy a deleted certificate for good",
                   "merlon cert purge --vault kv-web -n www", purge, named)};
}

}  // namespace merlon::cli
