"""Countries: codes, names and adjectives, so that "the US", "America" and "American" meet a stored `US` or `United States`."""

from __future__ import annotations

_TABLE = """
US|USA|U.S.|U.S.A.|United States|United States of America|the States|America|American|USA-based
GB|UK|U.K.|United Kingdom|Great Britain|Britain|British|England|English
DE|DEU|Germany|German|Deutschland
FR|FRA|France|French
ES|ESP|Spain|Spanish|España
IT|ITA|Italy|Italian|Italia
PT|PRT|Portugal|Portuguese
NL|NLD|Netherlands|Holland|Dutch
BE|BEL|Belgium|Belgian
LU|LUX|Luxembourg
CH|CHE|Switzerland|Swiss
AT|AUT|Austria|Austrian
IE|IRL|Ireland|Irish
DK|DNK|Denmark|Danish
SE|SWE|Sweden|Swedish
NO|NOR|Norway|Norwegian
FI|FIN|Finland|Finnish
IS|ISL|Iceland|Icelandic
PL|POL|Poland|Polish
CZ|CZE|Czech Republic|Czechia|Czech
SK|SVK|Slovakia|Slovak
SI|SVN|Slovenia|Slovenian
HU|HUN|Hungary|Hungarian
RO|ROU|Romania|Romanian
BG|BGR|Bulgaria|Bulgarian
GR|GRC|Greece|Greek
HR|HRV|Croatia|Croatian
RS|SRB|Serbia|Serbian
BA|BIH|Bosnia|Bosnia and Herzegovina|Bosnian
AL|ALB|Albania|Albanian
MK|MKD|North Macedonia|Macedonian
EE|EST|Estonia|Estonian
LV|LVA|Latvia|Latvian
LT|LTU|Lithuania|Lithuanian
UA|UKR|Ukraine|Ukrainian
BY|BLR|Belarus|Belarusian
RU|RUS|Russia|Russian
TR|TUR|Turkey|Türkiye|Turkish
CY|CYP|Cyprus|Cypriot
MT|MLT|Malta|Maltese
CA|CAN|Canada|Canadian
MX|MEX|Mexico|México|Mexican
BR|BRA|Brazil|Brasil|Brazilian
AR|ARG|Argentina|Argentinian|Argentine
CL|CHL|Chile|Chilean
CO|COL|Colombia|Colombian
PE|PER|Peru|Peruvian
VE|VEN|Venezuela|Venezuelan
UY|URY|Uruguay|Uruguayan
PY|PRY|Paraguay|Paraguayan
BO|BOL|Bolivia|Bolivian
EC|ECU|Ecuador|Ecuadorian
CR|CRI|Costa Rica|Costa Rican
PA|PAN|Panama|Panamanian
GT|GTM|Guatemala|Guatemalan
DO|DOM|Dominican Republic|Dominican
CU|CUB|Cuba|Cuban
PR|PRI|Puerto Rico|Puerto Rican
AU|AUS|Australia|Australian
NZ|NZL|New Zealand
JP|JPN|Japan|Japanese
CN|CHN|China|Chinese
HK|HKG|Hong Kong
TW|TWN|Taiwan|Taiwanese
KR|KOR|South Korea|Korea|Korean
IN|IND|India|Indian
PK|PAK|Pakistan|Pakistani
BD|BGD|Bangladesh|Bangladeshi
LK|LKA|Sri Lanka|Sri Lankan
ID|IDN|Indonesia|Indonesian
MY|MYS|Malaysia|Malaysian
SG|SGP|Singapore|Singaporean
TH|THA|Thailand|Thai
VN|VNM|Vietnam|Vietnamese
PH|PHL|Philippines|Filipino
AE|ARE|United Arab Emirates|UAE|Emirati
SA|SAU|Saudi Arabia|Saudi
QA|QAT|Qatar|Qatari
KW|KWT|Kuwait|Kuwaiti
IL|ISR|Israel|Israeli
JO|JOR|Jordan|Jordanian
LB|LBN|Lebanon|Lebanese
EG|EGY|Egypt|Egyptian
MA|MAR|Morocco|Moroccan
DZ|DZA|Algeria|Algerian
TN|TUN|Tunisia|Tunisian
NG|NGA|Nigeria|Nigerian
KE|KEN|Kenya|Kenyan
GH|GHA|Ghana|Ghanaian
ET|ETH|Ethiopia|Ethiopian
ZA|ZAF|South Africa|South African
"""

ALIASES: dict[str, str] = {
    name.lower(): line.split("|")[0] for line in _TABLE.strip().splitlines() for name in line.split("|")
}
"""Any spelling in lower case → ISO 3166-1 alpha-2 code."""

NAMES: dict[str, str] = {
    line.split("|")[0]: next(name for name in line.split("|")[1:] if len(name) > len("USA") and "." not in name)
    for line in _TABLE.strip().splitlines()
}
"""ISO 3166-1 alpha-2 code → name."""

CODES_THAT_ARE_WORDS = frozenset(
    {"in", "no", "is", "it", "at", "be", "us", "so", "my", "me", "id", "by", "do", "am", "to", "pr", "pa", "or"}
)
"""Codes that are also English words: read as a country only in capitals."""
