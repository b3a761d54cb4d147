// merlon ca: a customer's own authority, which is a certificate in a vault and an issuer of that vault.
// Merlon trusts none of them.
#include <charconv>

#include "cli/certificate_text.h"
#include "cli/output.h"
#include "cli/vault_api.h"

namespace merlon::cli {
namespace {

struct CaOptions {
  std::string vault, name, subject, months = "120";
};

std::string issuer_path(const CaOptions& options) { return "/certificates/issuers/" + part(options.name); }

Result<int> create(Context& context, const CaOptions& options) {
  int64_t months = 0;
  const char* end = options.months.data() + options.months.size();
  if (const auto read = std::from_chars(options.months.data(), end, months);
      read.ec != std::errc() || read.ptr != end)
    return wrong_usage("--months is a whole number.");
  // The key never leaves, and the authority is never replaced by itself: those who trust it would not know.
  const JsonObject body{
      {"policy",
       {{"issuer", {{"name", "Self"}}},
        {"key_props", {{"kty", "EC"}, {"crv", "P-384"}, {"exportable", false}}},
        {"x509_props",
         {{"subject", options.subject.empty() ? "CN=" + options.name : options.subject},
          {"basic_constraints", {{"ca", true}}},
          {"validity_months", months}}},
        {"lifetime_actions", JsonArray{JsonObject{{"trigger", {{"lifetime_percentage", 80}}},
                                                  {"action", {{"action_type", "EmailContacts"}}}}}}}}};
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  TRY(vault.call("POST", "/certificates/" + part(options.name) + "/create", &body));
  const JsonObject issuer{{"provider", "Merlon"}, {"credentials", {{"account_id", options.name}}}};
  TRY(vault.call("PUT", issuer_path(options), &issuer));
  const JsonObject made = TRY(vault.call("GET", "/certificates/" + part(options.name)));
  show(context, made,
       certificate_text(made) + "merlon cert create --vault " + printable(options.vault) + " --issuer " +
           printable(options.name) + " … has it issue certificates.\n");
  return kDone;
}

Result<int> show_one(Context& context, const CaOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject issuer = TRY(vault.call("GET", issuer_path(options)));
  const JsonObject known =
      TRY(vault.call("GET", "/certificates/" + part(text_at(issuer, "credentials.account_id"))));
  show(context, known, pem_of("CERTIFICATE", text_at(known, "cer")));
  return kDone;
}

Result<int> list(Context& context, const CaOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject known = TRY(vault.list("/certificates/issuers"));
  Table table({"NAME", "PROVIDER"});
  for (const Json& value : known.at("value").get_array())
    table.add({last_segment(text_at(value.get_object(), "id")), text_at(value.get_object(), "provider")});
  show(context, known, table.size() == 0 ? "There are none.\n" : table.text());
  return kDone;
}

Result<int> remove(Context& context, const CaOptions& options) {
  Api api = TRY(Api::open(context));
  VaultApi vault = TRY(VaultApi::open(api, options.vault));
  const JsonObject gone = TRY(vault.call("DELETE", issuer_path(options)));
  show(context, gone,
       printable(options.name) +
           " issues no more. What it issued stays, and so does its own certificate: 'merlon cert delete' "
           "deletes that.\n");
  return kDone;
}

void in_vault(Command& command, CaOptions& options) {
  command.text("--vault", options.vault, "Name of the vault").required();
}
void named(Command& command, CaOptions& options) {
  in_vault(command, options);
  command.text("--name,-n", options.name, "Name of the authority").required();
}

}  // namespace

std::vector<Command> ca_commands() {
  return {make_command("ca create", "Make an authority, whose key never leaves its vault",
                       "merlon ca create --vault kv-web -n house --subject 'CN=Our CA, O=Example'", create,
                       [](Command& command, CaOptions& options) {
                         named(command, options);
                         command.text("--subject", options.subject, "Its name; CN and --name when not given")
                             .text("--months", options.months, "How long it holds; 120 when not given");
                       }),
          make_command("ca show", "An authority's certificate in PEM, for those who are to trust it",
                       "merlon ca show --vault kv-web -n house > house.pem", show_one, named),
          make_command("ca list", "The issuers of a vault", "merlon ca list --vault kv-web", list, in_vault),
          make_command("ca delete", "Have an authority issue no more",
                       "merlon ca delete --vault kv-web -n house", remove, named)};
}

}  // namespace merlon::cli
