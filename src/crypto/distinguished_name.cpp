// OpenSSL has a printer, but no parser of this form.
#include "crypto/distinguished_name.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/text.h"

namespace merlon::crypto {
namespace {

constexpr size_t kTextBytesMax = 2048;
constexpr size_t kValueBytesMax = 256;
constexpr size_t kPartsMax = 32;

constexpr std::array<std::pair<std::string_view, int>, 18> kAttributes{
    {{"CN", NID_commonName},
     {"O", NID_organizationName},
     {"OU", NID_organizationalUnitName},
     {"C", NID_countryName},
     {"L", NID_localityName},
     {"S", NID_stateOrProvinceName},
     {"ST", NID_stateOrProvinceName},
     {"STREET", NID_streetAddress},
     {"DC", NID_domainComponent},
     {"UID", NID_userId},
     {"E", NID_pkcs9_emailAddress},
     {"EMAILADDRESS", NID_pkcs9_emailAddress},
     {"SERIALNUMBER", NID_serialNumber},
     {"G", NID_givenName},
     {"GIVENNAME", NID_givenName},
     {"SN", NID_surname},
     {"T", NID_title},
     {"TITLE", NID_title}}};

struct Part {
  int nid = 0;
  std::string value;
  bool joins_previous = false;  // "+": of the same relative distinguished name
};

std::unexpected<Error> bad(std::string why) {
  return fail(ErrorKind::invalid, "BadParameter",
              "The subject is not a distinguished name: " + std::move(why) +
                  " Write it as 'CN=www.example.org, O=Example'.");
}

std::optional<int> hex_digit(char c) {
  const char lower = ascii_lower(c);
  if (lower >= '0' && lower <= '9') return lower - '0';
  if (lower >= 'a' && lower <= 'f') return lower - 'a' + 10;
  return std::nullopt;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Result<std::vector<Part>> parts() {
    std::vector<Part> all;
    bool joins = false;
    for (;;) {
      Part part = TRY(one());
      part.joins_previous = joins;
      all.push_back(std::move(part));
      if (all.size() > kPartsMax) return bad("it has more than 32 parts.");
      if (at_end()) return all;
      joins = text_[at_] == '+';
      ++at_;  // a ',', ';' or '+' ended the value
    }
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  void skip_spaces() {
    while (!at_end() && text_[at_] == ' ') ++at_;
  }

  Result<Part> one() {
    skip_spaces();
    const size_t equals = text_.find('=', at_);
    if (equals == std::string_view::npos) return bad("a part has no '='.");
    const std::string_view type = trim(text_.substr(at_, equals - at_));
    const auto* const known =
        std::find_if(kAttributes.begin(), kAttributes.end(),
                     [&](const auto& attribute) { return ascii_iequal(attribute.first, type); });
    if (known == kAttributes.end())
      return bad("'" + std::string(type.substr(0, 32)) + "' is no attribute of names.");
    at_ = equals + 1;
    skip_spaces();
    Part part{known->second, {}, false};
    part.value = TRY(!at_end() && text_[at_] == '"' ? quoted() : plain());
    if (part.value.empty() || part.value.size() > kValueBytesMax || !is_utf8(part.value) ||
        std::ranges::any_of(part.value, [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
      return bad("the value of '" + std::string(type) + "' is not printable text of 1 to 256 bytes.");
    return part;
  }

  Result<std::string> quoted() {
    std::string value;
    for (++at_; !at_end() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\' && ++at_ >= text_.size()) break;
      value += text_[at_];
    }
    if (at_end()) return bad("a quoted value does not end.");
    ++at_;
    skip_spaces();
    if (!at_end() && !is_separator(text_[at_])) return bad("something follows a quoted value.");
    return value;
  }

  Result<std::string> plain() {
    std::string value;
    size_t kept = 0;  // what is beyond are spaces that nothing follows
    for (; !at_end() && !is_separator(text_[at_]); ++at_) {
      const char c = text_[at_];
      if (c == '"' || c == '<' || c == '>') return bad("a value has a character that must be escaped.");
      if (c != '\\') {
        value += c;
        if (c != ' ') kept = value.size();
        continue;
      }
      if (at_ + 1 >= text_.size()) return bad("it ends in a backslash.");
      const auto high = hex_digit(text_[at_ + 1]);
      const auto low = at_ + 2 < text_.size() ? hex_digit(text_[at_ + 2]) : std::nullopt;
      if (high && low) {
        value += static_cast<char>(*high * 16 + *low);
        at_ += 2;
      } else {
        value += text_[++at_];
      }
      kept = value.size();
    }
    value.resize(kept);
    return value;
  }

  static bool is_separator(char c) { return c == ',' || c == ';' || c == '+'; }

  std::string_view text_;
  size_t at_ = 0;
};

bool append(X509_NAME* name, const Part& part, int set) {
  // A country is a PrintableString of two letters, a domain component an IA5String: OpenSSL knows by the NID.
  return X509_NAME_add_entry_by_NID(name, part.nid, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(part.value.data()),
                                    static_cast<int>(part.value.size()), -1, set) == 1;
}

}  // namespace

Result<NameHandle> parse_distinguished_name(std::string_view text) {
  const ErrorQueue errors;
  if (text.size() > kTextBytesMax) return bad("it is longer than 2048 bytes.");
  std::vector<Part> parts = TRY(Reader(text).parts());
  NameHandle name(X509_NAME_new());
  if (!name) return errors.failure("cannot build a name");
  // In the certificate the least specific part comes first (RFC 4514 section 2.1).
  bool joins_next = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!append(name.get(), *part, joins_next ? -1 : 0))
      return bad("a value is too long, or has characters that its attribute does not allow.");
    joins_next = part->joins_previous;
  }
  return name;
}

std::string distinguished_name_text(const X509_NAME* name) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  MERLON_CHECK(bio != nullptr);
  constexpr unsigned long kForm =
      ASN1_STRFLGS_RFC2253 | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_DN_REV | XN_FLAG_FN_SN;
  if (X509_NAME_print_ex(bio.get(), name, 0, kForm & ~ASN1_STRFLGS_ESC_MSB) < 0) return {};
  return std::string(as_text(take_bytes(bio.get())));
}

}  // namespace merlon::crypto
