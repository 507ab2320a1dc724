"""Tells which language a message is in, by its commonest words, and one sentence in it that says that only English is understood."""

from __future__ import annotations

import re
from typing import Final

from segment_copilot.english.words.stems import listed

ENGLISH_ONLY: Final = "I only understand English for now; please ask in English."

_SENTENCES: Final = {
    "es": "De momento solo entiendo las preguntas que se escriben en inglés; por favor, escribe la pregunta en inglés.",
    "de": "Ich verstehe zurzeit nur Englisch; bitte stelle die Frage auf Englisch.",
    "fr": "Pour le moment, je ne comprends que l'anglais ; merci de poser la question en anglais.",
    "it": "Per ora capisco solo l'inglese; per favore, scrivi la domanda in inglese.",
    "pt": "Por enquanto só entendo inglês; por favor, faça a pergunta em inglês.",
    "nl": "Ik begrijp voorlopig alleen Engels; stel de vraag alsjeblieft in het Engels.",
    "pl": "Na razie rozumiem tylko po angielsku; zadaj proszę pytanie po angielsku.",
    "sv": "Jag förstår bara engelska än så länge; ställ gärna frågan på engelska.",
    "ca": "De moment només entenc l'anglès; si us plau, fes la pregunta en anglès.",
}

_WORDS: Final = {
    "es": "el los las una unos unas del que quién quiénes quien quienes para por con sin pero nunca han ha hace últimos últimas último última días mes semana "
    "año usuarios usuario clientes cliente socios compras compraron pedidos pedido cuántos cuántas cuanto cuánto cuantos cuantas cuáles cuál cómo como qué mis le les hay "
    "más menos desde hasta ayer hoy crea crear segmento segmentos muéstrame muestra dime lista también está están es son fue tienen hicieron han sido "
    "visitas ventas eventos cuándo cuando dónde donde porque y muy este esta estos estas en de la mi al lo se hicimos tuvimos tenemos",
    "de": "der die das den dem des ein eine einen einer und oder aber nicht kein keine mit ohne von für auf letzten letzte letzter tagen tage woche monat "
    "nutzer kunden kunde benutzer gekauft bestellt bestellungen bestellung wie viele viel welche welcher welches meine mein ist sind haben hat gab es gestern heute "
    "wann warum zeige zeig mir alle wer was wurden wurde erstelle segmente seit nie niemals mindestens im am zum zur ich wir uns bitte ereignisse",
    "fr": "le les des du une un qui que dans sur avec sans mais jamais ont a depuis derniers dernière dernier jours semaine mois utilisateurs utilisateur clients client "
    "acheté commandes commande combien quels quelles quel quelle mes est sont créer crée montre montrez moi hier nous avons eu où quand pourquoi et "
    "au aux cette ce ces plus moins événements d'utilisateurs y il la de je",
    "it": "il lo gli che chi per senza ma mai hanno ha negli nel nella ultimi ultima ultimo giorni settimana mese utenti utente clienti cliente acquistato ordini ordine "
    "quanti quante quanto quali quale ieri oggi mostra mostrami crea segmento abbiamo sono è del della dei delle con più meno da un una gli ci stati avuto",
    "pt": "os as uns umas um uma quem com sem mas nunca nos nas no na últimos última último dias semana mês usuários usuário utilizadores clientes cliente compraram pedidos pedido "
    "encomendas quantos quantas quanto quais qual meus ontem hoje mostre mostra crie criar segmento são é foi foram tivemos temos do da dos das em para por que não mais menos",
    "nl": "het een niet geen met zonder maar nooit laatste dagen week maand gebruikers klanten klant gekocht bestellingen bestelling hoeveel welke mijn gisteren vandaag "
    "toon laat zien waren zijn was werden hebben we van de en op die dat wie wat wanneer waarom maak segment er",
    "pl": "pokaż ile którzy które który użytkownicy użytkowników klienci klientów zamówień zamówienia wczoraj dzisiaj ostatnich dni tygodniu jest są nie bez dla "
    "było utwórz segmentów się oraz lub jak kto co mamy ostatnim w z na",
    "sv": "och att det som en ett inte utan med hur många vilka kunder användare köpte beställningar igår idag senaste dagarna visa mig är har vi fick skapa alla var på av till från",
    "ca": "els les una quants quantes quins quines usuaris clients comandes ahir avui darrers dies mostra'm crea amb sense però mai que per hi ha són té vam tenir el la",
}  # fmt: skip
_STOP_WORDS: Final = {language: frozenset(listed(words)) for language, words in _WORDS.items()}
_ENGLISH: Final = frozenset(listed(
    "the a an of to and or but not who that which with without in on for from have has had are is was were be been do does did user users customer customers "
    "people anyone everyone segment segments last past days day week weeks month months never how many much what when where why show list create build find give get "
    "more than less over under least i my me we our us events event at all this most their they it its purchased bought visited viewed spent active per any every no top named "
    "count yesterday today ordered orders order as by into out up can you your please tell about if there those these them make"
))  # fmt: skip
_OTHER_SCRIPT: Final = re.compile(r"[\u0370-\u1cff\u2e80-\uffdc]")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_TURNED: Final = re.compile(r"[¿¡]")
_TELLING: Final = 4
"""Letters of a word that is a word of the language and no abbreviation or article of another."""


def said_in_english_only(text: str, vocabulary: frozenset[str] = frozenset()) -> tuple[str, ...] | None:
    """The sentences for a message in another language; None for one in English. Words of the *vocabulary* are names and tell nothing."""
    language = foreign_language(text, vocabulary)
    if language is None:
        return None
    own = _SENTENCES.get(language)
    return (f"{own} ({ENGLISH_ONLY})",) if own else (ENGLISH_ONLY,)


def foreign_language(text: str, vocabulary: frozenset[str] = frozenset()) -> str | None:
    """The language if it is not English, "" where it is not known which."""
    if len(_OTHER_SCRIPT.findall(text)) > len(re.findall(r"[A-Za-z]", text)):
        return ""
    names = vocabulary - _ENGLISH  # a description's "of" and "that" are English all the same
    words = [word.lower() for word in _WORD.findall(text) if word.lower() not in names]
    english = sum(word in _ENGLISH for word in words)
    scores = {language: sum(word in known for word in words) for language, known in _STOP_WORDS.items()}
    best = max(scores, key=lambda language: scores[language])
    score = scores[best]
    if _TURNED.search(text) and scores["es"] >= english:
        return "es"
    alone = not english and any(
        word in _STOP_WORDS[best] and word not in _ENGLISH and len(word) >= _TELLING for word in words
    )
    foreign = sum(word in _STOP_WORDS[best] and word not in _ENGLISH for word in words)
    # one foreign word may be a name; without any English word it is enough if it is a telling one
    return best if foreign > max(1, english) or (alone and score == foreign and len(words) > 1) else None
