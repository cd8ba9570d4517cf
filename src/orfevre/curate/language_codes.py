"""Names of languages: which codes are ISO 639-1, and one spelling for those that go by several."""

UNDETERMINED = "und"

_PAIRS = (
    "aar:aa abk:ab ave:ae afr:af aka:ak amh:am arg:an ara:ar arb:ar asm:as ava:av aym:ay aze:az azj:az bak:ba bel:be "
    "bul:bg bih:bh bis:bi bam:bm ben:bn bod:bo bre:br bos:bs cat:ca che:ce cha:ch cos:co cre:cr ces:cs chu:cu chv:cv "
    "cym:cy dan:da deu:de div:dv dzo:dz ewe:ee ell:el eng:en epo:eo spa:es est:et ekk:et eus:eu fas:fa pes:fa ful:ff "
    "fin:fi fij:fj fao:fo fra:fr fry:fy gle:ga gla:gd glg:gl grn:gn guj:gu glv:gv hau:ha heb:he hin:hi hmo:ho hrv:hr "
    "hat:ht hun:hu hye:hy her:hz ina:ia ind:id ile:ie ibo:ig iii:ii ipk:ik ido:io isl:is ita:it iku:iu jpn:ja jav:jv "
    "kat:ka kon:kg kik:ki kua:kj kaz:kk kal:kl khm:km kan:kn kor:ko kau:kr kas:ks kur:ku kmr:ku ckb:ku kom:kv cor:kw "
    "kir:ky lat:la ltz:lb lug:lg lim:li lin:ln lao:lo lit:lt lub:lu lav:lv lvs:lv mlg:mg plt:mg mah:mh mri:mi mkd:mk "
    "mal:ml mon:mn khk:mn mar:mr msa:ms zsm:ms mlt:mt mya:my nau:na nob:no nde:nd nep:ne npi:ne ndo:ng nld:nl nno:no "
    "nor:no nbl:nr nav:nv nya:ny oci:oc oji:oj orm:om gaz:om ori:or ory:or oss:os pan:pa pli:pi pol:pl pus:ps pbt:ps "
    "por:pt que:qu quy:qu roh:rm run:rn ron:ro rus:ru kin:rw san:sa srd:sc snd:sd sme:se sag:sg sin:si slk:sk slv:sl "
    "smo:sm sna:sn som:so sqi:sq als:sq srp:sr ssw:ss sot:st sun:su swe:sv swa:sw swh:sw tam:ta tel:te tgk:tg tha:th "
    "tir:ti tuk:tk tgl:tl tsn:tn ton:to tur:tr tso:ts tat:tt twi:tw tah:ty uig:ug ukr:uk urd:ur uzb:uz uzn:uz ven:ve "
    "vie:vi vol:vo wln:wa wol:wo xho:xh yid:yi ydd:yi yor:yo zha:za zho:zh cmn:zh zul:zu"
)

_THREE_TO_TWO = dict(pair.split(":") for pair in _PAIRS.split())
"""ISO 639-3 to 639-1; the main member of a macrolanguage goes with it."""

_OTHER_SPELLINGS = {
    # CLD2's older codes, and Norwegian, whose written forms it does not tell apart
    "iw": "he", "jw": "jv", "in": "id", "ji": "yi", "un": UNDETERMINED, "nb": "no", "nn": "no", "fil": "tl",
    # members of a macrolanguage that py3langid's model tells apart
    "yue": "zh", "wuu": "zh", "ary": "ar", "arz": "ar", "uzs": "uz", "gug": "gn", "ltg": "lv", "sdh": "ku",
    "hbo": "he", "fuv": "ff", "zxx": UNDETERMINED,
}  # fmt: skip

_RENAMED = _THREE_TO_TWO | _OTHER_SPELLINGS

_ISO_639_1 = frozenset(_THREE_TO_TWO.values()) | {"nb", "nn"}


def is_prose_language(code: str) -> bool:
    """Whether a source's `language` is a human one; `python` and the like are not."""
    return code == UNDETERMINED or code in _ISO_639_1


def base(code: str) -> str:
    """One code for a language however it is written: `zh-Hant` and `yue` are `zh`, `iw` is `he`, `fra_Latn` is `fr`."""
    main = code.lower().replace("_", "-").partition("-")[0]
    return _RENAMED.get(main, main)


def same(left: str, right: str) -> bool:
    return base(left) == base(right)
